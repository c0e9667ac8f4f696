/**
 * A lock for one writer or any number of readers, as users of the kernel's queued rwlock see it.
 *
 * An actor takes the lock in one step if no holder excludes it and the queue is empty. Otherwise
 * that step queues it, which the holder can see (`isContended`), and a second step waits. A fair
 * lock serves its queue in order of arrival, so that a waiting writer keeps new readers out; an
 * unfair one admits any queued actor that no holder excludes.
 *
 * One approximation: in the kernel a reader may overtake a writer that is queued but not yet first
 * in the queue. Here it never does. Source: Linux, kernel/locking/qrwlock.c.
 */
import { actorName, BAD_UNLOCK, fault } from './faults.ts';
import type { Cell, Condition, Holdable, Machine } from './machine.ts';
import { ACQUIRE, READ, RELEASE, TRY, type Steps, access } from './step.ts';

const WRITER = -1;

/** Events of a lock: the current actor has taken it, or is about to release it. */
export interface RwLockListener {
  acquired?(): void;
  releasing?(): void;
}

/** A fair reader-writer lock. */
export class RwLock implements Holdable {
  /**
   * 0 when free, the number of read holds, or -1 for a writer. Every step on the lock announces
   * this cell.
   */
  readonly cell: Cell;
  readonly listeners: RwLockListener[] = [];
  private readonly m: Machine;
  private readonly fair: boolean;
  /** Index of the writer plus two, or 0. */
  private readonly writer: Cell;
  /**
   * The next ticket, and the number of actors that have left the queue: in a fair lock, the ticket
   * that is served next.
   */
  private readonly arrivals: Cell;
  private readonly departures: Cell;
  /** Per actor: number of its read holds, and its ticket while it waits. */
  private readonly readHolds: Cell;
  private readonly tickets: Cell;
  private readonly mayRead: Condition;
  private readonly mayWrite: Condition;

  constructor(m: Machine, name: string, fair = true) {
    this.m = m;
    this.fair = fair;
    this.cell = m.record(name, 'writer', 'arrivals', 'departures');
    this.writer = this.cell + 1;
    this.arrivals = this.cell + 2;
    this.departures = this.cell + 3;
    this.readHolds = m.perActor(`${name}.readers`);
    this.tickets = m.perActor(`${name}.tickets`);
    this.mayRead = (actor) => m.peek(this.cell) !== WRITER && this.isServed(actor);
    this.mayWrite = (actor) => m.peek(this.cell) === 0 && this.isServed(actor);
    m.holdables.push(this);
  }

  private isServed(actor: number): boolean {
    return !this.fair || this.m.peek(this.tickets + actor) === this.m.peek(this.departures);
  }

  heldForRead(actor: number): boolean {
    return this.m.peek(this.readHolds + actor) > 0;
  }

  heldForWrite(actor: number): boolean {
    return this.m.peek(this.writer) === actor + 2;
  }

  /** Any actor holds the lock for write. */
  isWriteHeld(): boolean {
    return this.m.peek(this.cell) === WRITER;
  }

  holds(actor: number): boolean {
    return this.heldForWrite(actor) || this.heldForRead(actor);
  }

  /** An actor is queued, so that a holder should yield if it can. Within a step on this lock. */
  isContended(): boolean {
    return this.m.peek(this.arrivals) !== this.m.peek(this.departures);
  }

  /** {@link isContended} as a step of its own (rwlock_needbreak). */
  *contended(): Steps<boolean> {
    yield access(this.cell, READ);
    return this.isContended();
  }

  *readLock(): Steps<void> {
    yield access(this.cell, TRY);
    if (this.m.peek(this.cell) === WRITER || (this.fair && this.isContended()))
      yield* this.queue(this.mayRead);
    this.addReader(1);
    for (const listener of this.listeners) listener.acquired?.();
  }

  *writeLock(): Steps<void> {
    yield access(this.cell, TRY);
    if (this.m.peek(this.cell) !== 0 || (this.fair && this.isContended()))
      yield* this.queue(this.mayWrite);
    this.m.poke(this.cell, WRITER);
    this.m.poke(this.writer, this.m.current + 2);
    for (const listener of this.listeners) listener.acquired?.();
  }

  private *queue(mayEnter: Condition): Steps<void> {
    const ticket = this.m.peek(this.arrivals);
    this.m.poke(this.tickets + this.m.current, ticket);
    this.m.poke(this.arrivals, ticket + 1);
    this.m.blockOn(mayEnter);
    yield access(this.cell, ACQUIRE);
    this.m.poke(this.departures, this.m.peek(this.departures) + 1);
  }

  *readUnlock(): Steps<void> {
    yield access(this.cell, RELEASE);
    for (const listener of this.listeners) listener.releasing?.();
    if (this.heldForRead(this.m.current)) this.addReader(-1);
    else this.badUnlock('read');
  }

  *writeUnlock(): Steps<void> {
    yield access(this.cell, RELEASE);
    for (const listener of this.listeners) listener.releasing?.();
    if (!this.heldForWrite(this.m.current)) return this.badUnlock('write');
    this.m.poke(this.writer, 0);
    this.m.poke(this.cell, 0);
  }

  private addReader(change: 1 | -1): void {
    const mine = this.readHolds + this.m.current;
    this.m.poke(mine, this.m.peek(mine) + change);
    this.m.poke(this.cell, this.m.peek(this.cell) + change);
  }

  private badUnlock(mode: string): void {
    fault(
      this.m,
      BAD_UNLOCK,
      `${this.m.nameOf(this.cell)} released for ${mode} by an actor that holds it for ${mode}`,
      `${actorName(this.m, this.m.current)} releases it`,
    );
  }
}
