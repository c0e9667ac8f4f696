/** The machine's state: words of 32 bits, in named segments. */
import { cellOf, independent, kindOf, READ, type Access } from './step.ts';

/** A word of the machine's state, named by its index. All state that actors share is in cells. */
export type Cell = number;

/** What a replayed run records. Other runs have no recorder, which keeps them fast. */
export interface Recorder {
  wrote(cell: Cell, before: number, after: number): void;
  note(text: string): void;
}

interface Segment {
  readonly base: Cell;
  readonly length: number;
  readonly describe: (offset: number) => string;
}

const CHUNK_SHIFT = 6;
const CHUNK = 1 << CHUNK_SHIFT;

/** Reset, not reallocated, between runs: only the chunks that a run has touched are restored. */
export class Cells {
  /** The words; a new array replaces this one when segments outgrow it. */
  private cells = new Int32Array(1 << 10);
  private sealed: Int32Array | null = null;
  private used = 0;
  private readonly segments: Segment[] = [];
  /** For each cell, the cell that guards it, plus one; see {@link guard}. */
  private guards = new Int32Array(1 << 10);
  private touched = new Uint8Array(1 << (10 - CHUNK_SHIFT));
  private readonly touchedChunks: number[] = [];

  recorder: Recorder | null = null;

  /** Called for each write that changes a cell. Empty unless a rule listens. */
  readonly onWrite: ((cell: Cell, before: number, after: number) => void)[] = [];

  /**
   * Reserves `length` cells, all zero. `describe` names a cell in reports, given its offset. Called
   * only before {@link seal}, or by code that grows a sparse space (see Memory).
   */
  segment(
    name: string,
    length: number,
    describe: (offset: number) => string = (i) => `${name}[${i}]`,
  ): Cell {
    const base = this.used;
    this.used += length;
    this.segments.push({ base, length, describe });
    while (this.used > this.cells.length) {
      this.cells = grown(this.cells, new Int32Array(this.cells.length * 2));
      this.guards = grown(this.guards, new Int32Array(this.cells.length));
      this.touched = grown(this.touched, new Uint8Array(this.touched.length * 2));
      if (this.sealed !== null) this.sealed = grown(this.sealed, new Int32Array(this.cells.length));
    }
    return base;
  }

  /** Reserves a cell called `name`, followed by one for each of its parts: `name.part`. */
  record(name: string, ...parts: string[]): Cell {
    return this.segment(name, parts.length + 1, (i) =>
      i === 0 ? name : `${name}.${parts[i - 1]}`,
    );
  }

  /** Name of a cell in reports, e.g. `PAMT_4K[0x100200000].lock`. */
  nameOf(cell: Cell): string {
    const segment = this.segments.find((s) => cell >= s.base && cell < s.base + s.length);
    return segment === undefined ? `cell ${cell}` : segment.describe(cell - segment.base);
  }

  /**
   * Declares that a change of `by` affects steps on any of the `length` cells from `first`, as
   * freeing a page affects its words: the two do not commute, though they announce different
   * cells.
   */
  guard(first: Cell, length: number, by: Cell): void {
    this.guards.fill(by + 1, first, first + length);
  }

  /** Whether two announced steps commute: both orders have the same result. */
  independent(a: Access, b: Access): boolean {
    return independent(a, b) && !this.guardsAgainst(a, b) && !this.guardsAgainst(b, a);
  }

  private guardsAgainst(a: Access, b: Access): boolean {
    return kindOf(a) !== READ && this.guards[cellOf(b)] === cellOf(a) + 1;
  }

  /** Reads a cell without a step: for monitors, dumps, and code that is already inside its step. */
  peek(cell: Cell): number {
    return this.cells[cell] as number; // cells handed out by segment() are in range
  }

  /** Writes a cell without a step, seen by monitors and recorder. */
  poke(cell: Cell, value: number): void {
    const before = this.cells[cell] as number; // in range, see peek
    if (before === value) return;
    const chunk = cell >> CHUNK_SHIFT;
    if (this.touched[chunk] === 0) {
      this.touched[chunk] = 1;
      this.touchedChunks.push(chunk);
    }
    this.cells[cell] = value;
    for (const listener of this.onWrite) listener(cell, before, value);
    if (this.recorder !== null) this.recorder.wrote(cell, before, value);
  }

  /** Makes the current state the one that a reset returns to. */
  seal(): void {
    this.sealed = this.cells.slice();
    this.forgetTouched();
  }

  /** Returns to the sealed state. */
  protected restore(): void {
    const { cells, sealed } = this;
    for (const chunk of this.touchedChunks) {
      const from = chunk << CHUNK_SHIFT;
      if (sealed === null) cells.fill(0, from, from + CHUNK);
      else for (let i = from; i < from + CHUNK; i++) cells[i] = sealed[i] as number; // same length
    }
    this.forgetTouched();
  }

  /** Visits every cell that may differ from the sealed state, in ascending order. */
  forEachTouched(visit: (cell: Cell) => void): void {
    for (const chunk of this.touchedChunks.toSorted((a, b) => a - b)) {
      const from = chunk << CHUNK_SHIFT;
      const to = Math.min(from + CHUNK, this.used);
      for (let cell = from; cell < to; cell++) visit(cell);
    }
  }

  private forgetTouched(): void {
    for (const chunk of this.touchedChunks) this.touched[chunk] = 0;
    this.touchedChunks.length = 0;
  }
}

function grown<T extends Int32Array | Uint8Array>(old: T, roomy: T): T {
  roomy.set(old);
  return roomy;
}
