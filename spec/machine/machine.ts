/** The machine: actors that step over shared cells, and the one place for a violation. */
import { Cells, type Cell } from './cells.ts';
import type { Choices } from './choices.ts';
import { ORDINARY, OUTCOME } from './choices.ts';
import type { Violation } from './rule.ts';
import { PAUSE, READ, RMW, WAIT, WRITE, type Access, type Steps, access } from './step.ts';

export type { Cell, Recorder } from './cells.ts';

/** Whether an announced step of `actor` may be performed now. Waiting actors share the closure. */
export type Condition = (actor: number) => boolean;

/** A resource that an actor holds while others wait: a lock, read section, or vCPU in the guest. */
export interface Holdable {
  /** The cell that waiting actors announce. */
  readonly cell: Cell;
  holds(actor: number): boolean;
}

/** An actor: a thread of execution (vCPU, host thread, RCU callback, page walker). */
export interface Actor {
  readonly name: string;
  /** Index into {@link Machine.actors}. */
  readonly index: number;
  readonly steps: Steps<void>;
  /** The announced next step, or -1 before the first and after the last. */
  next: Access;
  /** Index of the operation of its program that the actor is in; 0 if it runs no program. */
  op: number;
  /** Steps taken since that operation began, the current one included. */
  taken: number;
  done: boolean;
  /** When set, the announced step is not enabled until this holds. */
  ready: Condition | null;
}

/** Actors in one run, RCU callbacks included. */
export const MAX_ACTORS = 128;

/** A run is a deterministic function of the program, the choices and the sealed initial state. */
export class Machine extends Cells {
  private readonly resets: (() => void)[] = [];

  readonly actors: Actor[] = [];
  /** Index of the actor now stepping, or -1. */
  current = -1;
  /** Steps performed in this run. */
  now = 0;
  violation: Violation | null = null;
  choices: Choices = ORDINARY;

  /** Resources that actors can wait for; deadlock reports name their holders. */
  readonly holdables: Holdable[] = [];

  /**
   * Reserves a cell for each actor. The cell of `actor` is the result plus `actor`; -1 is code that
   * no actor runs.
   */
  perActor(name: string): Cell {
    return (
      1 + this.segment(name, MAX_ACTORS + 1, (i) => `${name}[${this.actors[i - 1]?.name ?? i - 1}]`)
    );
  }

  /** Registers an action for {@link reset}, for structures whose state is not in cells. */
  onReset(action: () => void): void {
    this.resets.push(action);
  }

  /** Empties a collection at {@link reset}. Only if it has members: clear() allocates. */
  clearOnReset(collection: { readonly size: number; clear(): void }): void {
    this.onReset(() => {
      if (collection.size > 0) collection.clear();
    });
  }

  /** Returns to the sealed state, with no actors. */
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

  /** Compares and exchanges in one step; true when `cell` held `expected`. */
  *cmpxchg(cell: Cell, expected: number, value: number): Steps<boolean> {
    yield access(cell, RMW);
    if (this.peek(cell) !== expected) return false;
    this.poke(cell, value);
    return true;
  }

  /** Exchanges in one step; returns the value before. */
  *xchg(cell: Cell, value: number): Steps<number> {
    yield access(cell, RMW);
    const before = this.peek(cell);
    this.poke(cell, value);
    return before;
  }

  /** Adds atomically in one step; returns the value after. */
  *add(cell: Cell, delta: number): Steps<number> {
    yield access(cell, RMW);
    const after = this.peek(cell) + delta;
    this.poke(cell, after);
    return after;
  }

  /** Waits until `condition`, which depends on `cell`, holds. */
  *waitUntil(cell: Cell, condition: Condition): Steps<void> {
    this.blockOn(condition);
    yield access(cell, WAIT);
  }

  /** Gives a spin hint on `cell` (cpu_relax). */
  *relax(cell: Cell): Steps<void> {
    yield access(cell, PAUSE);
  }

  /**
   * Disables the current actor's next announced step until `condition` holds.
   *
   * @throws Error when no actor runs (see {@link atomically}) and the condition does not hold.
   */
  blockOn(condition: Condition): void {
    const actor = this.actors[this.current];
    if (actor !== undefined) actor.ready = condition;
    else if (!condition(-1)) throw new Error('code that no actor runs cannot wait');
  }

  /** Asks for one of `n` outcomes on behalf of the running actor; 0 is the ordinary one. */
  choose(n: number): number {
    const actor = this.actors[this.current];
    return this.choices.pick(n, this.current, actor === undefined ? 0 : actor.taken, OUTCOME);
  }

  /** Begins operation `op` of the running actor's program: its steps count from 0 again. */
  beginOp(op: number): void {
    const actor = this.actors[this.current];
    if (actor === undefined) return;
    actor.op = op;
    actor.taken = 0;
  }

  /** Adds an actor and returns its index. @throws Error when there are too many. */
  spawn(name: string, steps: Steps<void>): number {
    const index = this.actors.length;
    if (index === MAX_ACTORS) throw new Error(`a run has at most ${MAX_ACTORS} actors`);
    this.actors.push({ name, index, steps, next: -1, op: 0, taken: 0, done: false, ready: null });
    return index;
  }

  /** Reports that `rule` is broken at this step. Only the first violation of a run is kept. */
  violate(rule: string, expected: string, seen: string): void {
    this.violation ??= { rule, step: this.now, actor: this.current, expected, seen };
  }
}
