import { actorName, BAD_UNLOCK, fault } from './faults.ts';
import type { Cell, Condition, Holdable, Machine } from './machine.ts';
import { ACQUIRE, RELEASE, type Steps, access } from './step.ts';

/**
 * A spinlock that its user waits for. Who takes it next is the scheduler's choice, not the order of
 * arrival: that admits every order a queued spinlock has, and more. Taking it twice is a deadlock,
 * and shows as one.
 */
export class SpinLock implements Holdable {
  /** 0 when free, else the holder's index plus two (plus one: code that no actor runs). */
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
      const holder =
        this.m.peek(this.cell) === 0 ? 'nobody' : actorName(this.m, this.m.peek(this.cell) - 2);
      fault(
        this.m,
        BAD_UNLOCK,
        `${this.m.nameOf(this.cell)} is released by its holder, ${holder}`,
        `${actorName(this.m, this.m.current)} releases it`,
      );
      return;
    }
    this.m.poke(this.cell, 0);
  }
}
