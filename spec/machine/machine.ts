import type { Choices } from './choices.ts';
import { ORDINARY, OUTCOME } from './choices.ts';
import type { Violation } from './rule.ts';
import { READ, RMW, WRITE, PAUSE, WAIT, cellOf, independent, kindOf, type Access, type Steps } from './step.ts';

/** A word of the machine's state, named by its index. Everything that actors share lives in cells. */
export type Cell = number;

/** What the recorder of a replayed run is told. Nothing of this happens on the fast path. */
export interface Recorder {
  wrote(cell: Cell, before: number, after: number): void;
  note(text: string): void;
}

/** Whether an announced step of `actor` may be performed now. One closure serves every actor that waits. */
export type Condition = (actor: number) => boolean;

/** Something that an actor holds while others wait for it: a lock, a read section, a vCPU that is in the guest. */
export interface Holdable {
  /** What the waiting ones announce. */
  readonly cell: Cell;
  holds(actor: number): boolean;
}

/** An actor: a thread of execution (vCPU, host thread, RCU callback, page walker). */
export interface Actor {
  readonly name: string;
  /** Its place in {@link Machine.actors}. */
  readonly index: number;
  readonly steps: Steps<void>;
  /** The announced next step, or -1 before the first and after the last. */
  next: Access;
  /** Which of its operations the actor is in, for actors that run a program; else 0. */
  op: number;
  /** Steps taken since that operation began, the one under way included. */
  taken: number;
  done: boolean;
  /** When set, the announced step is not enabled until this holds. */
  ready: Condition | null;
}

interface Segment {
  readonly name: string;
  readonly base: Cell;
  readonly length: number;
  readonly describe: (offset: number) => string;
}

const CHUNK_SHIFT = 6;

/** Actors in one run, RCU callbacks included. */
export const MAX_ACTORS = 128;

/**
 * The machine: cells of 32 bits, actors that step, and one place where a rule's violation is put.
 *
 * A run is a deterministic function of the program, the choices and the sealed initial state. State is reset, not
 * reallocated, between runs: only the chunks a run has touched are restored.
 */
export class Machine {
  /** 32-bit state words. Use {@link peek} and {@link poke}; the array moves when segments are added. */
  private cells = new Int32Array(1 << 10);
  private sealed: Int32Array | null = null;
  private used = 0;
  private readonly segments: Segment[] = [];
  /** For each cell the cell that decides over it, plus one; see {@link guard}. */
  private guards = new Int32Array(1 << 10);
  private touched = new Uint8Array(1 << 4);
  private readonly touchedChunks: number[] = [];
  private readonly resets: (() => void)[] = [];

  readonly actors: Actor[] = [];
  /** Index of the actor now stepping, or -1. */
  current = -1;
  /** Steps performed in this run. */
  now = 0;
  violation: Violation | null = null;
  choices: Choices = ORDINARY;
  recorder: Recorder | null = null;

  /** What actors can keep each other waiting with; deadlock reports name its holders. */
  readonly holdables: Holdable[] = [];

  /** Called for each write of a cell that changes it. Empty unless a rule listens. */
  readonly onWrite: ((cell: Cell, before: number, after: number) => void)[] = [];

  /**
   * Reserves `length` cells, all zero. `describe` names a cell in reports, given its offset.
   * Only before {@link seal}, or from code that grows a sparse space (see Memory).
   */
  segment(name: string, length: number, describe: (offset: number) => string = (i) => `${name}[${i}]`): Cell {
    const base = this.used;
    this.used += length;
    this.segments.push({ name, base, length, describe });
    while (this.used > this.cells.length) {
      this.cells = grown(this.cells, new Int32Array(this.cells.length * 2));
      this.guards = grown(this.guards, new Int32Array(this.cells.length));
      this.touched = grown(this.touched, new Uint8Array(this.touched.length * 2));
      if (this.sealed !== null) this.sealed = grown(this.sealed, new Int32Array(this.cells.length));
    }
    return base;
  }

  /** A cell for each actor: that of `actor` is the result plus `actor`, and -1 stands for code that no actor runs. */
  perActor(name: string): Cell {
    return 1 + this.segment(name, MAX_ACTORS + 1, (i) => `${name}[${this.actors[i - 1]?.name ?? i - 1}]`);
  }

  /**
   * Changing `by` decides what a step on any of the `length` cells from `first` finds, as freeing a page does to its
   * words. So the two do not commute, though they announce different cells.
   */
  guard(first: Cell, length: number, by: Cell): void {
    this.guards.fill(by + 1, first, first + length);
  }

  /** Two announced steps commute: neither order can be told from the other. */
  independent(a: Access, b: Access): boolean {
    return independent(a, b) && !this.decides(a, b) && !this.decides(b, a);
  }

  private decides(a: Access, b: Access): boolean {
    return kindOf(a) !== READ && this.guards[cellOf(b)] === cellOf(a) + 1;
  }

  /** Registers what else must happen at {@link reset}, for the few structures that are not cells. */
  onReset(action: () => void): void {
    this.resets.push(action);
  }

  /** The present state becomes the one that {@link reset} returns to. */
  seal(): void {
    this.sealed = this.cells.slice();
    this.forgetTouched();
  }

  /** Back to the sealed state, with no actors. */
  reset(): void {
    const sealed = this.sealed;
    for (const chunk of this.touchedChunks) {
      const from = chunk << CHUNK_SHIFT;
      const to = from + (1 << CHUNK_SHIFT);
      if (sealed === null) this.cells.fill(0, from, to);
      else for (let i = from; i < to; i++) this.cells[i] = sealed[i] as number; // same length as cells
    }
    this.forgetTouched();
    this.actors.length = 0;
    this.current = -1;
    this.now = 0;
    this.violation = null;
    for (const action of this.resets) action();
  }

  /** Visits every cell that may differ from the sealed state, in ascending order. */
  forEachTouched(visit: (cell: Cell) => void): void {
    for (const chunk of this.touchedChunks.toSorted((a, b) => a - b)) {
      const from = chunk << CHUNK_SHIFT;
      const to = Math.min(from + (1 << CHUNK_SHIFT), this.used);
      for (let cell = from; cell < to; cell++) visit(cell);
    }
  }

  private forgetTouched(): void {
    for (const chunk of this.touchedChunks) this.touched[chunk] = 0;
    this.touchedChunks.length = 0;
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

  /** Reads `cell` in one step. */
  *read(cell: Cell): Steps<number> {
    yield cell * 8 + READ;
    return this.peek(cell);
  }

  /** Writes `cell` in one step. */
  *write(cell: Cell, value: number): Steps<void> {
    yield cell * 8 + WRITE;
    this.poke(cell, value);
  }

  /** Compare-and-exchange in one step; true when `cell` held `expected`. */
  *cmpxchg(cell: Cell, expected: number, value: number): Steps<boolean> {
    yield cell * 8 + RMW;
    if (this.peek(cell) !== expected) return false;
    this.poke(cell, value);
    return true;
  }

  /** Exchange in one step; the value before. */
  *xchg(cell: Cell, value: number): Steps<number> {
    yield cell * 8 + RMW;
    const before = this.peek(cell);
    this.poke(cell, value);
    return before;
  }

  /** Atomic add in one step; the value after. */
  *add(cell: Cell, delta: number): Steps<number> {
    yield cell * 8 + RMW;
    const after = this.peek(cell) + delta;
    this.poke(cell, after);
    return after;
  }

  /** Waits until `condition` holds; `cell` is what it depends on. */
  *waitUntil(cell: Cell, condition: Condition): Steps<void> {
    this.blockOn(condition);
    yield cell * 8 + WAIT;
  }

  /** A spin hint on `cell` (cpu_relax). */
  *relax(cell: Cell): Steps<void> {
    yield cell * 8 + PAUSE;
  }

  /** The current actor's next announced step is not enabled until `condition` holds. */
  blockOn(condition: Condition): void {
    const actor = this.actors[this.current];
    if (actor !== undefined) actor.ready = condition;
    else if (!condition(-1)) throw new Error('an atomic run would wait for ever');
  }

  /** Asks for a choice on behalf of the running actor; 0 is the ordinary outcome. */
  choose(n: number): number {
    const actor = this.actors[this.current];
    return this.choices.pick(n, this.current, actor === undefined ? 0 : actor.taken, OUTCOME);
  }

  /** The running actor begins the next operation of its program: its steps count from 0 again. */
  beginOp(op: number): void {
    const actor = this.actors[this.current];
    if (actor === undefined) return;
    actor.op = op;
    actor.taken = 0;
  }

  /** Adds an actor that takes part from now on; its index. */
  spawn(name: string, steps: Steps<void>): number {
    const index = this.actors.length;
    if (index === MAX_ACTORS) throw new Error(`a run has at most ${MAX_ACTORS} actors`);
    this.actors.push({ name, index, steps, next: -1, op: 0, taken: 0, done: false, ready: null });
    return index;
  }

  /** Reports that `rule` is broken at this step. The first violation of a run is the one that counts. */
  violate(rule: string, expected: string, seen: string): void {
    this.violation ??= { rule, step: this.now, actor: this.current, expected, seen };
  }

  /** The field's name of a cell, e.g. `PAMT_4K[0x100200000].lock`. */
  nameOf(cell: Cell): string {
    const segment = this.segments.find((s) => cell >= s.base && cell < s.base + s.length);
    return segment === undefined ? `cell ${cell}` : segment.describe(cell - segment.base);
  }
}

function grown<T extends Int32Array | Uint8Array>(old: T, roomy: T): T {
  roomy.set(old);
  return roomy;
}
