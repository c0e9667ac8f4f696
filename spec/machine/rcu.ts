/**
 * Read-copy-update: read sections, callbacks after a grace period, and the two ways to wait. Each
 * object is a domain of its own, so a second one serves as SRCU.
 *
 * A grace period ends when every actor that was inside a read section at the request has left that
 * section; sections that began later do not matter. Source: Linux,
 * Documentation/RCU/whatisRCU.rst.
 *
 * Each callback is an actor. A single softirq actor would run callbacks in order, one at a time,
 * and the kernel guarantees neither: callbacks queued on different processors run concurrently. An
 * actor for each admits every order, has its own name in reports, and ends; an idle softirq actor
 * would look like a deadlocked one.
 *
 * Read sections announce a _read_ of the one RCU cell, all other steps a change of it: so sections
 * commute with each other, and with no step that depends on them.
 */
import { actorName, BAD_UNLOCK, fault } from './faults.ts';
import type { Cell, Condition, Holdable, Machine } from './machine.ts';
import { READ, RMW, WAIT, type Steps, access } from './step.ts';

const NEVER = 0x7fff_ffff;

/** RCU: read sections, grace periods, callbacks. */
export class Rcu implements Holdable {
  /** Number of grace periods requested so far. Every step on RCU announces this cell. */
  readonly cell: Cell;
  /** Called when the current actor has left its outermost read section. */
  readonly onLeave: (() => void)[] = [];
  private readonly m: Machine;
  /**
   * Number of the oldest grace period that an open section delays, and of the oldest one whose
   * callback has not ended.
   */
  private readonly oldestReader: Cell;
  private readonly oldestCallback: Cell;
  /**
   * Per actor: nesting depth of its section; number of grace periods requested when the section
   * began, plus one, or 0 outside.
   */
  private readonly nesting: Cell;
  private readonly entered: Cell;
  /** Per actor: the grace period that it waits for, or up to which it waits for callbacks. */
  private readonly awaited: Cell;
  /** Per actor: the grace period whose callback it runs, plus one; 0 once that has ended. */
  private readonly callback: Cell;
  private readonly graceEnded: Condition;
  private readonly callbacksEnded: Condition;

  constructor(m: Machine, name = 'RCU') {
    this.m = m;
    this.cell = m.record(name, 'oldestReader', 'oldestCallback');
    this.oldestReader = this.cell + 1;
    this.oldestCallback = this.cell + 2;
    this.nesting = m.perActor(`${name}.nesting`);
    this.entered = m.perActor(`${name}.entered`);
    this.awaited = m.perActor(`${name}.awaited`);
    this.callback = m.perActor(`${name}.callback`);
    m.poke(this.oldestReader, NEVER);
    m.poke(this.oldestCallback, NEVER);
    this.graceEnded = (actor) => m.peek(this.oldestReader) > m.peek(this.awaited + actor);
    this.callbacksEnded = (actor) => m.peek(this.oldestCallback) >= m.peek(this.awaited + actor);
    m.holdables.push(this);
  }

  /** Whether `actor` is inside a read section. */
  holds(actor: number): boolean {
    return this.m.peek(this.nesting + actor) > 0;
  }

  /** Whether `actor` is a callback that has not ended. */
  isCallback(actor: number): boolean {
    return this.m.peek(this.callback + actor) > 0;
  }

  *readLock(): Steps<void> {
    yield access(this.cell, READ);
    this.enter();
  }

  /** {@link readLock} within the current step. */
  enter(): void {
    const { m } = this;
    const depth = m.peek(this.nesting + m.current);
    m.poke(this.nesting + m.current, depth + 1);
    if (depth > 0) return;
    m.poke(this.entered + m.current, m.peek(this.cell) + 1);
    m.poke(this.oldestReader, this.oldest(this.entered));
  }

  *readUnlock(): Steps<void> {
    yield access(this.cell, READ);
    this.leave();
  }

  /** {@link readUnlock} within the current step. */
  leave(): void {
    const { m } = this;
    if (!this.holds(m.current)) {
      const seen = `${actorName(m, m.current)} leaves`;
      return fault(m, BAD_UNLOCK, 'a read section is left by an actor that is inside one', seen);
    }
    m.poke(this.nesting + m.current, m.peek(this.nesting + m.current) - 1);
    if (this.holds(m.current)) return;
    m.poke(this.entered + m.current, 0);
    m.poke(this.oldestReader, this.oldest(this.entered));
    for (const listener of this.onLeave) listener();
  }

  /** The lowest number in per-actor cells that hold one, code that no actor runs included. */
  private oldest(numbers: Cell): number {
    let lowest = NEVER;
    for (let actor = -1; actor < this.m.actors.length; actor++) {
      const number = this.m.peek(numbers + actor) - 1;
      if (number >= 0 && number < lowest) lowest = number;
    }
    return lowest;
  }

  /**
   * Queues `steps` to run as an actor called `name` once a grace period has passed (call_rcu).
   * Never waits.
   */
  *call(name: string, steps: () => Steps<void>): Steps<void> {
    yield access(this.cell, RMW);
    const number = this.requestGrace();
    const actor = this.m.spawn(name, this.afterGrace(steps));
    this.m.poke(this.awaited + actor, number);
    this.m.poke(this.callback + actor, number + 1);
    this.m.poke(this.oldestCallback, this.oldest(this.callback));
  }

  /** Requests a grace period within the current step; returns its number. */
  private requestGrace(): number {
    const number = this.m.peek(this.cell);
    this.m.poke(this.cell, number + 1);
    return number;
  }

  private *afterGrace(steps: () => Steps<void>): Steps<void> {
    this.m.blockOn(this.graceEnded);
    yield access(this.cell, WAIT);
    yield* steps();
    yield access(this.cell, RMW);
    this.m.poke(this.callback + this.m.current, 0);
    this.m.poke(this.oldestCallback, this.oldest(this.callback));
  }

  /** Waits for a grace period (synchronize_rcu). From inside a read section that is a deadlock. */
  *synchronize(): Steps<void> {
    yield access(this.cell, RMW);
    this.m.poke(this.awaited + this.m.current, this.requestGrace());
    this.m.blockOn(this.graceEnded);
    yield access(this.cell, WAIT);
  }

  /** Waits until every callback queued before has ended (rcu_barrier), not for a grace period. */
  *barrier(): Steps<void> {
    yield access(this.cell, READ);
    this.m.poke(this.awaited + this.m.current, this.m.peek(this.cell));
    this.m.blockOn(this.callbacksEnded);
    yield access(this.cell, WAIT);
  }
}
