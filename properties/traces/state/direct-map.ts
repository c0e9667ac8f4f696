/**
 * Where the traced kernel maps physical memory: the direct map. Its base depends on the number of
 * paging levels and, with KASLR, on the boot, and no event states it. It follows from events that
 * name one table by both addresses:
 *
 * - `init_sp` of a root, and `root` of the next fault of that task;
 * - `init_sp` of another table, or `link_sp`, and the entry that points to the table: the `chg` of
 *   that task which follows;
 * - `chg` with a table's address, and `kvm_mmu_set_spte`, or an earlier `chg`, with its entry's;
 * - an address that no known table but one can have (kernels whose events name no tables).
 *
 * KASLR moves the base by multiples of 1G, so a pair of addresses that are not of one table passes
 * for evidence once in 2^18 times. Source: arch/x86/mm/kaslr.c: kernel_randomize_memory();
 * measured: captures of 6.1, 6.12, 6.16 and 7.3, with and without KASLR.
 */
import { MMU_PRESENT } from '../../../spec/kvm/layouts/layout.ts';
import { PAGE_BYTES } from '../../../spec/machine/memory.ts';
import type { TraceEvent } from '../reader/event.ts';
import { frameOf, indexOf, LEAF_LEVEL, pagesAt } from './spte.ts';

/** Addresses are kept without the 11 upper bits, which are alike for the whole direct map. */
const ADDRESSES = 2 ** 53;
const LOWER_BITS = 53n;
/** Position of the 11 upper bits in the upper half of an address. */
const UPPER_SHIFT = 21;
const GIB = 2 ** 30;
/** Bit of a leaf above the lowest level, alike on NPT and EPT. */
const LARGE = 1 << 7;
const ENTRY_BYTES = 8;

/** Events that show the base, alone or in pairs. */
export const EVIDENCE = ['init_sp', 'fpf', 'map', 'link_sp', 'chg', 'kvm_mmu_set_spte'] as const;

/** GFN and level of an entry, as one number. */
const LEVELS = 8;
const placeOf = (gfn: number, level: number): number => gfn * LEVELS + level;

/** What a task's events have shown of a table so far: virtual addresses, or 0. */
interface Half {
  /** The root that it has initialised. */
  root: number;
  /** The table that it links next. */
  linked: number;
  /** The entry that it has written, with its GFN and level. */
  written: number;
  gfn: number;
  level: number;
}

/** Base of the direct map, and the evidence for it. */
export class DirectMap {
  /** The lower 53 bits of the base; null while it is not known. */
  private base: number | null = null;
  private upper = 0;
  private readonly halves = new Map<number, Half>();
  /** Number of events that agree with the base. */
  evidence = 0;
  /** Number of times that an event showed another base than those before it. */
  moves = 0;
  /** Tables were followed without a base, as no evidence came. */
  private isGivenUp = false;
  /** Number of tasks that have said which table they link next. */
  private linking = 0;
  /** Frames of the tables that entries point to, by the place of the table's first entry. */
  private readonly tables = new Map<number, number>();
  /** Called when the base is another one than that by which tables have been followed. */
  readonly onMove: (() => void)[] = [];

  get isKnown(): boolean {
    return this.base !== null;
  }

  /** Address of the base; null while it is not known. */
  get text(): string | null {
    if (this.base === null) return null;
    return `0x${((BigInt(this.upper) << LOWER_BITS) | BigInt(this.base)).toString(16)}`;
  }

  /** Frame of a virtual address; NaN while the base is not known. */
  frameOf(address: number): number {
    return this.base === null ? Number.NaN : frameFrom(this.base, address);
  }

  /** Whether events name tables by addresses that mean nothing as yet. */
  get isMissing(): boolean {
    return this.isGivenUp && this.base === null;
  }

  /** More than one event has shown the base. */
  get isConfirmed(): boolean {
    return this.evidence > 1;
  }

  /** The base is not known, and may still be. */
  get isAwaited(): boolean {
    return this.base === null && !this.isGivenUp;
  }

  /** Tables are followed from now on, whether or not the base is known. */
  giveUp(): void {
    this.isGivenUp = true;
  }

  /** Notes what an event shows of the base, by itself or with earlier events of its task. */
  see(e: TraceEvent): void {
    switch (e.kind?.name) {
      case 'init_sp':
        if (e.number('sptep') === 0) this.half(e).root = this.table(e);
        else this.seeLink(e);
        break;
      case 'fpf':
      case 'map':
        this.seeRoot(e);
        break;
      case 'link_sp':
        this.seeLink(e);
        break;
      case 'chg':
        this.seeChange(e);
        break;
      case 'kvm_mmu_set_spte':
        this.seeEntry(e);
        break;
      default:
    }
  }

  /**
   * An event names a table that must be one of `frames`. It is evidence if its address can be that
   * of one of them only.
   */
  seeOneOf(e: TraceEvent, address: number, frames: Iterable<number>): void {
    const bases = new Set<number>();
    for (const frame of frames) {
      const base = baseFrom(address, frame * PAGE_BYTES);
      if (base % GIB === 0) bases.add(base);
    }
    const [base] = bases;
    if (bases.size !== 1 || base === undefined) return;
    this.upper = (e.has('spt') ? e.high('spt') : e.high('sptep')) >>> UPPER_SHIFT;
    this.settle(base);
  }

  /** Forgets what single events have shown, because events between them were lost. */
  forget(): void {
    this.halves.clear();
    this.tables.clear();
    this.linking = 0;
  }

  private seeRoot(e: TraceEvent): void {
    const half = this.halves.get(keyOf(e));
    if (half === undefined || half.root === 0 || !e.has('root')) return;
    this.pair(half.root, e.number('root'));
    half.root = 0;
  }

  private seeLink(e: TraceEvent): void {
    if (!e.has('spt')) return;
    const half = this.half(e);
    if (half.linked === 0) this.linking++;
    half.linked = this.table(e);
  }

  private seeChange(e: TraceEvent): void {
    if (this.isKnown && this.linking === 0) return;
    const half = this.halves.get(keyOf(e));
    if (half !== undefined && half.linked > 0 && pointsToTable(e)) {
      this.pair(half.linked, frameOf(e.high('new'), e.low('new')) * PAGE_BYTES);
      half.linked = 0;
      this.linking--;
    }
    if (!this.isKnown && e.has('spt')) this.seeTable(e);
  }

  /** An entry of a table, by the table's address: another entry may point to that table's frame. */
  private seeTable(e: TraceEvent): void {
    const [gfn, level] = [e.number('gfn'), e.number('level')];
    const first = gfn - indexOf(gfn, level) * pagesAt(level);
    if (pointsToTable(e))
      this.tables.set(placeOf(gfn, level - 1), frameOf(e.high('new'), e.low('new')));
    const frame = this.tables.get(placeOf(first, level));
    if (frame !== undefined) this.pair(this.table(e), frame * PAGE_BYTES);
    const half = this.half(e);
    half.gfn = gfn;
    half.level = level;
    half.written = this.table(e) + indexOf(gfn, level) * ENTRY_BYTES;
  }

  private seeEntry(e: TraceEvent): void {
    if (this.isKnown) return;
    const half = this.halves.get(keyOf(e));
    if (half === undefined || half.written === 0) return;
    if (half.gfn === e.number('gfn') && half.level === e.number('level'))
      this.pair(half.written, e.number('at'));
    half.written = 0;
  }

  private table(e: TraceEvent): number {
    this.upper = e.high('spt') >>> UPPER_SHIFT;
    return e.number('spt');
  }

  private half(e: TraceEvent): Half {
    const known = this.halves.get(keyOf(e));
    if (known !== undefined) return known;
    const half = { root: 0, linked: 0, written: 0, gfn: 0, level: 0 };
    this.halves.set(keyOf(e), half);
    return half;
  }

  /** Two addresses of one place, if they are as far apart as the direct map can be from memory. */
  private pair(virtual: number, physical: number): void {
    const base = baseFrom(virtual, physical);
    if (base % GIB === 0) this.settle(base);
  }

  private settle(base: number): void {
    const isMoved = this.base !== null && this.base !== base;
    const isLate = this.isMissing;
    this.evidence = isMoved ? 1 : this.evidence + 1;
    this.base = base;
    if (isMoved) this.moves++;
    if (isMoved || isLate) for (const listener of this.onMove) listener();
  }
}

/** Whether the new value of `chg` is an entry that points to a table, in any layout. */
const pointsToTable = (e: TraceEvent): boolean =>
  e.low('level') > LEAF_LEVEL && (e.low('new') & MMU_PRESENT) !== 0 && (e.low('new') & LARGE) === 0;

const keyOf = (e: TraceEvent): number => (e.inInterrupt ? -1 - e.cpu : e.pid);

/** Base with which a virtual address is that of a physical one. */
const baseFrom = (virtual: number, physical: number): number =>
  (virtual - physical + ADDRESSES) % ADDRESSES;

const frameFrom = (base: number, address: number): number =>
  Math.floor(((address - base + ADDRESSES) % ADDRESSES) / PAGE_BYTES);
