/**
 * Recognises the kernel of a trace by its events, not by a number: by the functions on which its
 * probes are, by whether changes name their tables, and by values of entries that are not present.
 */
import { MMU_PRESENT, type Bits, type SpteLayout } from '../../../spec/kvm/layouts/layout.ts';
import type { Vendor } from '../../../spec/kvm/layouts/table.ts';
import { EVENT_KINDS, type EventName } from '../reader/event-table.ts';
import type { TraceEvent } from '../reader/event.ts';
import { hashOfText } from '../reader/keys.ts';
import { tracedKernel, type TracedKernel } from './kernel.ts';
import { KERNEL_NAMES, type KernelName } from './names.ts';
import { PROBES } from './probes.ts';

/** Upper bit of the write-back memory type in a leaf of EPT. No leaf of NPT has it. */
const WRITE_BACK = 1 << 4;

/** The one tracepoint of KVM that shows values of entries. */
const TRACEPOINT: EventName = 'kvm_tdp_mmu_spte_changed';

/** Kernels by the function that a probe is on, for the events whose functions differ. */
const BY_FUNCTION: ReadonlyMap<EventName, ReadonlyMap<number, readonly KernelName[]>> = new Map(
  PROBES['7.3'].flatMap(({ name }) => {
    const kernels = new Map<number, KernelName[]>();
    for (const kernel of KERNEL_NAMES) {
      const symbol = PROBES[kernel].find((probe) => probe.name === name)?.symbol;
      if (symbol === undefined) continue;
      const hash = hashOfText(symbol);
      kernels.set(hash, [...(kernels.get(hash) ?? []), kernel]);
    }
    return kernels.size > 1 ? [[name, kernels] as const] : [];
  }),
);

/** Whether events of a kind can narrow the kernels, by the kind. Most cannot. */
const NARROWS = EVENT_KINDS.map(
  ({ name }) => name === 'chg' || name === TRACEPOINT || BY_FUNCTION.has(name),
);

/** The kernels that a trace may be of, narrowed by its events. */
export class Recognition {
  private names: readonly KernelName[] = KERNEL_NAMES;
  /** Null until an entry that is present shows it. */
  private vendor: Vendor | null = null;
  private hasChange = false;
  /** The kernel that has the trace's values of empty and FROZEN entries; null until one shows. */
  private valuesOf: KernelName | null = null;
  private current: TracedKernel | null = null;
  /** Functions that have been seen, by the event. */
  private readonly functions = new Map<EventName, number>();
  /** No known kernel has all events of the trace. It is judged by those that have most of them. */
  isUnlikeAny = false;

  /** The kernel; null until a change of an entry has shown it. */
  get kernel(): TracedKernel | null {
    return this.current;
  }

  /** The processor, or the usual one while that is not known. */
  get vendorFound(): Vendor {
    return this.vendor ?? 'npt';
  }

  /** Notes an event. Returns whether more is known of the kernel than before. */
  see(e: TraceEvent): boolean {
    const { kind } = e;
    if (kind === null || NARROWS[kind.id] !== true) return false;
    const { name } = kind;
    if (name === 'chg') return this.seeChange(e);
    if (name === TRACEPOINT) return this.seeValues(e);
    // a recorder of addresses does not name functions
    if (e.probed !== 0 || this.functions.get(name) === e.caller) return false;
    const kernels = BY_FUNCTION.get(name)?.get(e.caller);
    if (kernels === undefined) return false;
    this.functions.set(name, e.caller);
    return this.narrow(kernels) && this.current !== null && this.settle();
  }

  private seeChange(e: TraceEvent): boolean {
    if (this.hasChange && this.vendor !== null && this.valuesOf !== null) return false;
    const kernels = BY_FUNCTION.get('chg')?.get(e.caller) ?? KERNEL_NAMES;
    const isNarrower =
      !this.hasChange &&
      this.narrow(
        kernels.filter((name) => tracedKernel([name]).changesNameTables === e.has('spt')),
      );
    const isFirst = !this.hasChange;
    this.hasChange = true;
    const isFound = this.findVendor(e);
    const hasValues = this.findValues(e);
    return isFound || hasValues || isNarrower || isFirst ? this.settle() : false;
  }

  /** Where a trace has no probes, the values of entries that are not present. */
  private seeValues(e: TraceEvent): boolean {
    if (this.hasChange) return false;
    const isFirst = this.current === null;
    const narrower = (['old', 'new'] as const).map((which) =>
      this.narrow(this.names.filter((name) => mayHave(name, e.high(which), e.low(which)))),
    );
    return this.findVendor(e) || narrower.includes(true) || isFirst ? this.settle() : false;
  }

  /**
   * Looks for the value of an empty or a FROZEN entry. Kernels between those that are known can
   * have the events of one and the values of another: 6.5 to 6.9 those of 6.12 and 6.1.
   */
  private findValues(e: TraceEvent): boolean {
    if (this.valuesOf !== null) return false;
    for (const which of ['old', 'new'] as const) {
      const [hi, lo] = [e.high(which), e.low(which)];
      if (!isSpecial(hi, lo)) continue;
      const fitting = KERNEL_NAMES.filter((name) => mayHave(name, hi, lo));
      const [first] = this.names.filter((name) => fitting.includes(name));
      this.valuesOf = first ?? fitting[0] ?? null;
      if (first !== undefined) return false;
      this.isUnlikeAny = true;
      return true;
    }
    return false;
  }

  private findVendor(e: TraceEvent): boolean {
    if (this.vendor === null) this.vendor = vendorOf(e);
    else return false;
    return this.vendor !== null;
  }

  /** Keeps the kernels that are among these. Returns whether that leaves fewer. */
  private narrow(kernels: readonly KernelName[]): boolean {
    const left = this.names.filter((name) => kernels.includes(name));
    if (left.length === 0) this.isUnlikeAny = true;
    if (left.length === 0 || left.length === this.names.length) return false;
    this.names = left;
    return true;
  }

  private settle(): true {
    const found = tracedKernel(this.names, this.vendorFound);
    const ofValues =
      this.valuesOf === null ? found : tracedKernel([this.valuesOf], this.vendorFound);
    const hasOwnValues = this.names.includes(this.valuesOf ?? found.version);
    this.current = hasOwnValues
      ? found
      : { ...found, layout: ofValues.layout, thawsUntraced: ofValues.thawsUntraced };
    return true;
  }
}

const is = (bits: Bits, hi: number, lo: number): boolean => bits.hi === hi && bits.lo === lo;

/** The layouts of the kernels, whose special values are alike on all processors. */
const LAYOUT_OF = new Map(KERNEL_NAMES.map((name) => [name, tracedKernel([name]).layout]));

const isSpecialOf = ({ empty, frozen }: SpteLayout, hi: number, lo: number): boolean =>
  is(empty, hi, lo) || is(frozen, hi, lo);

/** Whether some kernel has empty or FROZEN entries of that value. */
const isSpecial = (hi: number, lo: number): boolean =>
  [...LAYOUT_OF.values()].some((layout) => isSpecialOf(layout, hi, lo));

/** Whether an entry that is not present, and no MMIO entry, can have that value. */
function mayHave(name: KernelName, hi: number, lo: number): boolean {
  const layout = LAYOUT_OF.get(name);
  return !isSpecial(hi, lo) || (layout !== undefined && isSpecialOf(layout, hi, lo));
}

/**
 * The processor that an entry is written for; null if it is not present. In an entry that points to
 * a table, KVM sets bit 5 on NPT (A) and not on EPT. In a leaf, bits 5:3 are the memory type on
 * EPT, which is write-back for memory, and zero on NPT.
 */
function vendorOf(e: TraceEvent): Vendor | null {
  const { large, accessed } = tracedKernel(KERNEL_NAMES).layout;
  const lo = (e.low('new') & MMU_PRESENT) === 0 ? e.low('old') : e.low('new');
  if ((lo & MMU_PRESENT) === 0) return null;
  const isTable = e.low('level') > 1 && (lo & large.lo) === 0;
  const isEpt = isTable ? (lo & accessed.lo) === 0 : (lo & WRITE_BACK) !== 0;
  return isEpt ? 'ept' : 'npt';
}
