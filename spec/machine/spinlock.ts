/** Spinlocks whose users wait for them. */
import { actorName, BAD_UNLOCK, fault } from './faults.ts';
import type { Cell, Condition, Holdable, Machine } from './machine.ts';
import { ACQUIRE, RELEASE, type Steps, access } from './step.ts';

/**
 * The scheduler chooses which waiting actor takes the lock next, whatever the order of arrival:
 * that admits every order of a queued spinlock, and more. An actor that takes it twice deadlocks.
 */
export class SpinLock implements Holdable {
  /** 0 when free, else the holder's index plus two; 1 for code that no actor runs. */
  readonly cell: Cell;
  private readonly m: Machine;
  private readonly isFree: Condition;

  constructor(m: Machine, name: string) {
    this.m = m;
    this.cell = m.record(name);
    this.isFree = () => m.peek(this.cell) === 0;
    m.holdables.push(this);
  }

  holds(actor: number): boolean {
    return this.m.peek(this.cell) === actor + 2;
  }

  *lock(): Steps<void> {
    this.m.blockOn(this.isFree);
    yield access(this.cell, ACQUIRE);
    this.m.poke(this.cell, this.m.current + 2);
  }

  *unlock(): Steps<void> {
    yield access(this.cell, RELEASE);
    if (!this.holds(this.m.current)) {
      const holder = this.m.peek(this.cell);
      const state = holder === 0 ? 'it is free' : `${actorName(this.m, holder - 2)} holds it`;
      fault(
        this.m,
        BAD_UNLOCK,
        `${this.m.nameOf(this.cell)} released by the actor that holds it`,
        `${actorName(this.m, this.m.current)} releases it, and ${state}`,
      );
      return;
    }
    this.m.poke(this.cell, 0);
  }
}
