import { Cells, type Cell } from './cells.ts';
import type { Choices } from './choices.ts';
import { ORDINARY, OUTCOME } from './choices.ts';
import type { Violation } from './rule.ts';
import { PAUSE, READ, RMW, WAIT, WRITE, type Access, type Steps, access } from './step.ts';

export type { Cell, Recorder } from './cells.ts';

/**
 * Whether an announced step of `actor` may be performed now. One closure serves every actor that
 * waits.
 */
export type Condition = (actor: number) => boolean;

/**
 * Something that an actor holds while others wait for it: a lock, a read section, a vCPU that is in
 * the guest.
 */
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

/** Actors in one run, RCU callbacks included. */
export const MAX_ACTORS = 128;

/**
 * The machine: cells of 32 bits, actors that step, and one place where a rule's violation is put.
 *
 * A run is a deterministic function of the program, the choices and the sealed initial state.
 */
export class Machine extends Cells {
  private readonly resets: (() => void)[] = [];

  readonly actors: Actor[] = [];
  /** Index of the actor now stepping, or -1. */
  current = -1;
  /** Steps performed in this run. */
  now = 0;
  violation: Violation | null = null;
  choices: Choices = ORDINARY;

  /** What actors can keep each other waiting with; deadlock reports name its holders. */
  readonly holdables: Holdable[] = [];

  /**
   * A cell for each actor: that of `actor` is the result plus `actor`, and -1 stands for code that
   * no actor runs.
   */
  perActor(name: string): Cell {
    return (
      1 + this.segment(name, MAX_ACTORS + 1, (i) => `${name}[${this.actors[i - 1]?.name ?? i - 1}]`)
    );
  }

  /** Registers what else must happen at {@link reset}, for the few structures that are not cells. */
  onReset(action: () => void): void {
    this.resets.push(action);
  }

  /**
   * Empties a collection at {@link reset}, if anything is in it: clearing an empty one allocates it
   * anew.
   */
  clearOnReset(collection: { readonly size: number; clear(): void }): void {
    this.onReset(() => {
      if (collection.size > 0) collection.clear();
    });
  }

  /** Back to the sealed state, with no actors. */
  reset(): void {
    this.restore();
    this.actors.length = 0;
    this.current = -1;
    this.now = 0;
    this.violation = null;
    for (const action of this.resets) action();
  }

  /** Reads `cell` in one step. */
  *read(cell: Cell): Steps<number> {
    yield access(cell, READ);
    return this.peek(cell);
  }

  /** Writes `cell` in one step. */
  *write(cell: Cell, value: number): Steps<void> {
    yield access(cell, WRITE);
    this.poke(cell, value);
  }

  /** Compare-and-exchange in one step; true when `cell` held `expected`. */
  *cmpxchg(cell: Cell, expected: number, value: number): Steps<boolean> {
    yield access(cell, RMW);
    if (this.peek(cell) !== expected) return false;
    this.poke(cell, value);
    return true;
  }

  /** Exchange in one step; the value before. */
  *xchg(cell: Cell, value: number): Steps<number> {
    yield access(cell, RMW);
    const before = this.peek(cell);
    this.poke(cell, value);
    return before;
  }

  /** Atomic add in one step; the value after. */
  *add(cell: Cell, delta: number): Steps<number> {
    yield access(cell, RMW);
    const after = this.peek(cell) + delta;
    this.poke(cell, after);
    return after;
  }

  /** Waits until `condition` holds; `cell` is what it depends on. */
  *waitUntil(cell: Cell, condition: Condition): Steps<void> {
    this.blockOn(condition);
    yield access(cell, WAIT);
  }

  /** A spin hint on `cell` (cpu_relax). */
  *relax(cell: Cell): Steps<void> {
    yield access(cell, PAUSE);
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

  /**
   * Reports that `rule` is broken at this step. The first violation of a run is the one that
   * counts.
   */
  violate(rule: string, expected: string, seen: string): void {
    this.violation ??= { rule, step: this.now, actor: this.current, expected, seen };
  }
}
