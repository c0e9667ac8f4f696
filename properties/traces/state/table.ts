/** A table of SPTEs: its position, its entries as far as they are known, and its life. */
import type { Halves } from '../../../spec/kvm/layouts/halves.ts';
import { ENTRIES, indexOf, pagesAt } from './spte.ts';
import type { Task } from './task.ts';
import type { Vm } from './vm.ts';

/**
 * How much is known of an entry: nothing; its value; or its value except for the permission to
 * execute, after a split filled it in.
 */
export const UNKNOWN = 0;
export const KNOWN = 1;
export const PREFILLED = 2;

/** `found`: the table is older than the trace. */
type Life = 'found' | 'initialised' | 'linked' | 'removed' | 'freed';

const NOTHING = new Int32Array(0);
const NO_KNOWLEDGE = new Uint8Array(0);
const NO_LINES = new Float64Array(0);

/** How far a table is in its life, and the lines at which it got there, or 0. */
class TableLife {
  private current: Life = 'found';
  private initialised = 0;
  private linked = 0;
  private removed = 0;
  private remover: Task | null = null;
  private isRemovalShared = false;
  private invalidated: number | null = null;

  get life(): Life {
    return this.current;
  }

  /** Whether its entries can be in use: it is neither removed nor freed. */
  get isLive(): boolean {
    return this.current !== 'removed' && this.current !== 'freed';
  }

  get initialisedLine(): number {
    return this.initialised;
  }

  get linkedLine(): number {
    return this.linked;
  }

  get removedLine(): number {
    return this.removed;
  }

  /** Task that unlinked it. */
  get removedBy(): Task | null {
    return this.remover;
  }

  /** Whether it was unlinked under mmu_lock held for read. */
  get removedShared(): boolean {
    return this.isRemovalShared;
  }

  /** Roots only: marked invalid. */
  get invalid(): boolean {
    return this.invalidated !== null;
  }

  get invalidLine(): number {
    return this.invalidated ?? 0;
  }

  initialise(line: number): void {
    this.current = 'initialised';
    this.initialised = line;
  }

  /** Roots have no line at which they are linked. */
  link(line = this.linked): void {
    this.current = 'linked';
    this.linked = line;
  }

  remove(line: number, task: Task, isShared: boolean): void {
    this.current = 'removed';
    this.removed = line;
    this.remover = task;
    this.isRemovalShared = isShared;
  }

  free(): void {
    this.current = 'freed';
  }

  invalidate(line: number): void {
    this.invalidated ??= line;
  }
}

export class Table extends TableLife {
  /** Frame of the table's page; negative when it is not known. */
  readonly frame: number;
  readonly vm: Vm;
  asId: number;
  level: number;
  /** A root whose level and address space no event has stated yet. */
  isAssumed = false;
  /** The first GFN that it covers; NaN while that is not known. */
  base: number;
  root: Table | null = null;
  /** It mirrors the Secure EPT, and the hardware does not walk it. */
  mirror = false;
  hi = new Int32Array(ENTRIES);
  lo = new Int32Array(ENTRIES);
  known = new Uint8Array(ENTRIES);
  /** Lines at which the entries were last written. */
  lines = new Float64Array(ENTRIES);

  constructor(frame: number, vm: Vm, asId: number, level: number, base: number) {
    super();
    this.frame = frame;
    this.vm = vm;
    this.asId = asId;
    this.level = level;
    this.base = base;
  }

  get isRoot(): boolean {
    return this.root === this;
  }

  /** An event states the level and the address space. Entries of another level are forgotten. */
  state(level: number, asId: number): void {
    if (!this.isAssumed) return;
    this.asId = asId;
    if (level === this.level) return;
    this.level = level;
    this.forget();
  }

  /** Sets every entry to one value. */
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

  /** Forgets the values of its entries. */
  forget(): void {
    this.known.fill(UNKNOWN);
  }

  /** Its memory is freed: its entries are dropped. */
  release(): void {
    this.free();
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

  /** First and last index of the entries that map a GFN of [start, end); last < first if none. */
  span(start: number, end: number): readonly [number, number] {
    const past = this.base + ENTRIES * pagesAt(this.level);
    if (Number.isNaN(this.base) || start >= past || end <= this.base) return [0, -1];
    return [
      start <= this.base ? 0 : indexOf(start, this.level),
      end >= past ? ENTRIES - 1 : indexOf(end - 1, this.level),
    ];
  }
}
