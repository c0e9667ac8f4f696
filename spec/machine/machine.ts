import type { Choices } from './choices.ts';
import { ORDINARY, OUTCOME } from './choices.ts';
import type { Violation } from './rule.ts';
import { READ, RMW, WRITE, PAUSE, WAIT, type Access, type Steps } from './step.ts';

/** A word of the machine's state, named by its index. Everything that actors share lives in cells. */
export type Cell = number;

/** What the recorder of a replayed run is told. Nothing of this happens on the fast path. */
export interface Recorder {
  wrote(cell: Cell, before: number, after: number): void;
  note(text: string): void;
}

/** An actor: a thread of execution (vCPU, host thread, RCU callback, page walker). */
export interface Actor {
  readonly name: string;
  readonly steps: Steps<void>;
  /** The announced next step, or -1 before the first and after the last. */
  next: Access;
  /** Steps performed so far. */
  taken: number;
  done: boolean;
  /** When set, the announced step is not enabled until this holds. */
  ready: (() => boolean) | null;
}

interface Segment {
  readonly name: string;
  readonly base: Cell;
  readonly length: number;
  readonly describe: (offset: number) => string;
}

const CHUNK_SHIFT = 6;

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
      this.touched = grown(this.touched, new Uint8Array(this.touched.length * 2));
      if (this.sealed !== null) this.sealed = grown(this.sealed, new Int32Array(this.cells.length));
    }
    return base;
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
  *waitUntil(cell: Cell, condition: () => boolean): Steps<void> {
    this.blockOn(condition);
    yield cell * 8 + WAIT;
  }

  /** A spin hint on `cell` (cpu_relax). */
  *relax(cell: Cell): Steps<void> {
    yield cell * 8 + PAUSE;
  }

  /** The current actor's next announced step is not enabled until `condition` holds. */
  blockOn(condition: () => boolean): void {
    const actor = this.actors[this.current];
    if (actor !== undefined) actor.ready = condition;
    else if (!condition()) throw new Error('an atomic run would wait for ever');
  }

  /** Asks for a choice on behalf of the running actor; 0 is the ordinary outcome. */
  choose(n: number): number {
    const actor = this.actors[this.current];
    return this.choices.pick(n, this.current, actor === undefined ? 0 : actor.taken, OUTCOME);
  }

  /** Adds an actor that takes part from now on; its index. */
  spawn(name: string, steps: Steps<void>): number {
    this.actors.push({ name, steps, next: -1, taken: 0, done: false, ready: null });
    return this.actors.length - 1;
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
