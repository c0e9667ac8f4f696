/**
 * A table of SPTEs as the trace tells of it: its place, what is known of its entries, and where it
 * is in its life.
 */
import type { Halves } from '../../../spec/kvm/layouts/halves.ts';
import { ENTRIES, indexOf, pagesAt } from './spte.ts';
import type { Task } from './task.ts';
import type { Vm } from './vm.ts';

/**
 * How much is known of an entry: nothing, its value, or its value but for the permission to
 * execute, as a split has filled it in.
 */
export const UNKNOWN = 0;
export const KNOWN = 1;
export const PREFILLED = 2;

/** `found`: it was there when the trace began. */
export type Life = 'found' | 'initialised' | 'linked' | 'removed' | 'freed';

const NOTHING = new Int32Array(0);
const NO_KNOWLEDGE = new Uint8Array(0);
const NO_LINES = new Float64Array(0);

export class Table {
  /** Number of the physical page; negative where it cannot be known. */
  readonly frame: number;
  readonly vm: Vm;
  asId: number;
  level: number;
  /** The first GFN that it is about; NaN as long as nothing says. */
  base: number;
  root: Table | null = null;
  life: Life = 'found';
  /** It says what the Secure EPT holds, and the hardware does not walk it. */
  mirror = false;
  /** Of a root: nobody is to use it any more, */
  invalid = false;
  /** since this line. */
  invalidLine = 0;
  hi = new Int32Array(ENTRIES);
  lo = new Int32Array(ENTRIES);
  known = new Uint8Array(ENTRIES);
  /** Lines at which the entries were last written. */
  lines = new Float64Array(ENTRIES);
  initialisedLine = 0;
  linkedLine = 0;
  removedLine = 0;
  removedBy: Task | null = null;
  removedShared = false;

  constructor(frame: number, vm: Vm, asId: number, level: number, base: number) {
    this.frame = frame;
    this.vm = vm;
    this.asId = asId;
    this.level = level;
    this.base = base;
  }

  get isRoot(): boolean {
    return this.root === this;
  }

  /** Its entries have a present or a future: it is neither removed nor freed. */
  get isLive(): boolean {
    return this.life !== 'removed' && this.life !== 'freed';
  }

  fill({ hi, lo }: Halves): void {
    this.hi.fill(hi);
    this.lo.fill(lo);
    this.known.fill(KNOWN);
    this.lines.fill(0);
  }

  set(index: number, hi: number, lo: number, line: number): void {
    this.hi[index] = hi;
    this.lo[index] = lo;
    this.known[index] = KNOWN;
    this.lines[index] = line;
  }

  forget(): void {
    this.known.fill(UNKNOWN);
  }

  /** Its memory was given back: nothing is kept of the entries. */
  release(): void {
    this.life = 'freed';
    this.hi = NOTHING;
    this.lo = NOTHING;
    this.known = NO_KNOWLEDGE;
    this.lines = NO_LINES;
  }

  gfnOf(index: number): number {
    return this.base + index * pagesAt(this.level);
  }

  covers(gfn: number): boolean {
    return gfn >= this.base && gfn < this.base + ENTRIES * pagesAt(this.level);
  }

  /**
   * First and last index of the entries that map GFNs from `start` up to `end`; last < first when
   * there is none.
   */
  span(start: number, end: number): readonly [number, number] {
    const past = this.base + ENTRIES * pagesAt(this.level);
    if (Number.isNaN(this.base) || start >= past || end <= this.base) return [0, -1];
    return [
      start <= this.base ? 0 : indexOf(start, this.level),
      end >= past ? ENTRIES - 1 : indexOf(end - 1, this.level),
    ];
  }
}
