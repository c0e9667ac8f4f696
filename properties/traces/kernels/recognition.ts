/**
 * Recognises the kernel of a trace by its events, not by a number: by the functions on which its
 * probes are, by whether changes name their tables, and by values of entries that are not present.
 */
import { MMU_PRESENT, type Bits } from '../../../spec/kvm/layouts/layout.ts';
import type { Vendor } from '../../../spec/kvm/layouts/table.ts';
import type { EventName } from '../reader/event-table.ts';
import type { TraceEvent } from '../reader/event.ts';
import { hashOfText } from '../reader/keys.ts';
import { tracedKernel, type TracedKernel } from './kernel.ts';
import { KERNEL_NAMES, type KernelName } from './names.ts';
import { PROBES } from './probes.ts';

/** Upper bit of the write-back memory type in a leaf of EPT. No leaf of NPT has it. */
const WRITE_BACK = 1 << 4;

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

/** The kernels that a trace may be of, narrowed by its events. */
export class Recognition {
  private names: readonly KernelName[] = KERNEL_NAMES;
  /** Null until an entry that is present shows it. */
  private vendor: Vendor | null = null;
  private hasChange = false;
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
    const name = e.kind?.name;
    if (name === 'chg') return this.seeChange(e);
    if (name === 'kvm_tdp_mmu_spte_changed') return this.seeValues(e);
    // a recorder of addresses does not name functions
    if (name === undefined || e.probed !== 0 || this.functions.get(name) === e.caller) return false;
    const kernels = BY_FUNCTION.get(name)?.get(e.caller);
    if (kernels === undefined) return false;
    this.functions.set(name, e.caller);
    return this.narrow(kernels) && this.current !== null && this.settle();
  }

  private seeChange(e: TraceEvent): boolean {
    if (this.hasChange && this.vendor !== null) return false;
    const kernels = BY_FUNCTION.get('chg')?.get(e.caller) ?? KERNEL_NAMES;
    const isNarrower =
      !this.hasChange &&
      this.narrow(
        kernels.filter((name) => tracedKernel([name]).changesNameTables === e.has('spt')),
      );
    const isFirst = !this.hasChange;
    this.hasChange = true;
    return this.findVendor(e) || isNarrower || isFirst ? this.settle() : false;
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
    this.current = tracedKernel(this.names, this.vendorFound);
    return true;
  }
}

const is = (bits: Bits, hi: number, lo: number): boolean => bits.hi === hi && bits.lo === lo;

/** Whether an entry that is not present, and no MMIO entry, can have that value. */
function mayHave(name: KernelName, hi: number, lo: number): boolean {
  const { empty, frozen } = tracedKernel([name]).layout;
  const isSpecial = KERNEL_NAMES.some((other) => {
    const { layout } = tracedKernel([other]);
    return is(layout.empty, hi, lo) || is(layout.frozen, hi, lo);
  });
  return !isSpecial || is(empty, hi, lo) || is(frozen, hi, lo);
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
