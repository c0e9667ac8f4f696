/**
 * vCPUs as the rest of the kernel sees them: whether they are in the guest, what is requested of
 * them, and interrupts that make them leave it. Source: Linux,
 * Documentation/virt/kvm/vcpu-requests.rst.
 *
 * The two halves of the handshake: who asks sets the request _before_ looking at the mode; the vCPU
 * sets its mode _before_ looking at its requests. So either the vCPU sees the request, or it is
 * sent an interrupt.
 *
 * All words of a vCPU are one resource: every step on it announces the same cell.
 */
import { actorName, BAD_GUEST_ENTRY, fault } from './faults.ts';
import type { Cell, Condition, Holdable, Machine } from './machine.ts';
import { READ, RMW, WAIT, WRITE, type Steps, access } from './step.ts';

/** Where a vCPU is. Exiting: in the guest, and somebody has already told it to leave. */
export const OUTSIDE_GUEST = 0;
export const IN_GUEST = 1;
export const EXITING_GUEST = 2;
export const GUEST_MODES = ['outside guest', 'in guest', 'exiting guest'] as const;
export type GuestMode = 0 | 1 | 2;

/** A set of requests, a bit each. What they mean is the user's affair. */
export type Requests = number;

export class Vcpu implements Holdable {
  readonly name: string;
  /** The mode. */
  readonly cell: Cell;
  /** Told when it leaves the guest; it is outside by the end of that step. */
  readonly onLeave: (() => void)[] = [];
  private readonly m: Machine;
  private readonly pending: Cell;
  /** Interrupts sent, and the number up to which they were taken. */
  private readonly sent: Cell;
  private readonly taken: Cell;
  /** Index of the actor that runs it, plus two, while it is in the guest. */
  private readonly runner: Cell;
  /** Per actor: the interrupt whose taking it waits for. */
  private readonly awaited: Cell;
  private readonly hasTaken: Condition;

  constructor(m: Machine, name: string) {
    this.m = m;
    this.name = name;
    this.cell = m.record(name, 'requests', 'sent', 'taken', 'runner');
    this.pending = this.cell + 1;
    this.sent = this.cell + 2;
    this.taken = this.cell + 3;
    this.runner = this.cell + 4;
    this.awaited = m.perActor(`${name}.awaited`);
    this.hasTaken = (actor) => m.peek(this.taken) >= m.peek(this.awaited + actor);
    m.holdables.push(this);
  }

  mode(): GuestMode {
    return this.m.peek(this.cell) as GuestMode; // written by this file only
  }

  /** Requests that are pending, within the current step. */
  requests(): Requests {
    return this.m.peek(this.pending);
  }

  /** Whether `actor` keeps the vCPU in the guest. */
  holds(actor: number): boolean {
    return this.m.peek(this.runner) === actor + 2;
  }

  /**
   * Sets the mode to IN_GUEST. Interrupts that arrive from here on make the guest leave at its
   * first step.
   */
  *enter(): Steps<void> {
    yield access(this.cell, WRITE);
    if (this.mode() !== OUTSIDE_GUEST) {
      fault(
        this.m,
        BAD_GUEST_ENTRY,
        `${this.name} enters from outside the guest`,
        GUEST_MODES[this.mode()],
      );
    }
    this.m.poke(this.cell, IN_GUEST);
    this.m.poke(this.runner, this.m.current + 2);
  }

  /** Sets the mode to OUTSIDE_GUEST and takes the interrupts that are pending. */
  *leave(): Steps<void> {
    yield access(this.cell, WRITE);
    const { m } = this;
    if (!this.holds(m.current)) {
      fault(
        m,
        BAD_GUEST_ENTRY,
        `${this.name} leaves the guest by the thread that entered`,
        actorName(m, m.current),
      );
    }
    m.poke(this.cell, OUTSIDE_GUEST);
    m.poke(this.runner, 0);
    m.poke(this.taken, m.peek(this.sent));
    for (const told of this.onLeave) told();
  }

  /** Enters, and leaves at once when something is requested; true when the vCPU is in the guest. */
  *enterUnlessRequested(): Steps<boolean> {
    yield* this.enter();
    if ((yield* this.checkRequests()) === 0) return true;
    yield* this.leave();
    return false;
  }

  /** The pending requests, in one step. */
  *checkRequests(): Steps<Requests> {
    yield access(this.cell, READ);
    return this.requests();
  }

  /** Takes the requests among `wanted`; those that were pending. */
  *takeRequests(wanted: Requests): Steps<Requests> {
    yield access(this.cell, RMW);
    const found = this.requests() & wanted;
    this.m.poke(this.pending, this.requests() & ~wanted);
    return found;
  }

  /** Takes every request, within the current step. */
  clearRequests(): void {
    this.m.poke(this.pending, 0);
  }

  /**
   * An interrupt waits to be taken: the guest must leave. Within the current step; see
   * {@link notices}.
   */
  isInterrupted(): boolean {
    return this.m.peek(this.sent) !== this.m.peek(this.taken);
  }

  /** What a guest asks between two of its instructions: {@link isInterrupted} as a step. */
  *notices(): Steps<boolean> {
    yield access(this.cell, READ);
    return this.isInterrupted();
  }

  /**
   * Sends an interrupt, in one step: a device's, or a timer's. Outside the guest the host takes it
   * at once.
   */
  *interrupt(): Steps<void> {
    yield access(this.cell, RMW);
    if (this.mode() !== OUTSIDE_GUEST) this.send();
  }

  private send(): void {
    this.m.poke(this.sent, this.m.peek(this.sent) + 1);
  }

  /** Makes requests of the vCPU, in one step. It learns of them before it next enters the guest. */
  *request(wanted: Requests): Steps<void> {
    yield access(this.cell, RMW);
    this.m.poke(this.pending, this.requests() | wanted);
  }

  /** Makes the vCPU leave the guest if it is there, and goes on without waiting. */
  *kick(): Steps<void> {
    yield access(this.cell, RMW);
    if (this.mode() !== IN_GUEST) return;
    this.m.poke(this.cell, EXITING_GUEST);
    this.send();
  }

  /** The first half of {@link kickAndWait}: true when there is something to wait for. */
  *kickForWait(): Steps<boolean> {
    yield access(this.cell, RMW);
    if (this.mode() === OUTSIDE_GUEST) return false;
    this.m.poke(this.cell, EXITING_GUEST);
    this.send();
    this.m.poke(this.awaited + this.m.current, this.m.peek(this.sent));
    return true;
  }

  /**
   * Waits until the vCPU has taken the interrupt that the current actor sent it, hence was outside
   * the guest.
   */
  *waitForExit(): Steps<void> {
    this.m.blockOn(this.hasTaken);
    yield access(this.cell, WAIT);
  }

  /**
   * Makes the vCPU leave the guest if it is there, and waits until it has been outside. It may be
   * back since.
   */
  *kickAndWait(): Steps<void> {
    if (yield* this.kickForWait()) yield* this.waitForExit();
  }
}

/**
 * Requests `wanted` of every vCPU (31 at most) and kicks them all, then waits until each has been
 * outside the guest.
 */
export function* requestAllAndWait(vcpus: readonly Vcpu[], wanted: Requests): Steps<void> {
  let waited = 0;
  for (const [i, vcpu] of vcpus.entries()) {
    yield* vcpu.request(wanted);
    if (yield* vcpu.kickForWait()) waited |= 1 << i;
  }
  for (const [i, vcpu] of vcpus.entries()) if ((waited & (1 << i)) !== 0) yield* vcpu.waitForExit();
}
