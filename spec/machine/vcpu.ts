/**
 * vCPUs as the rest of the kernel sees them: their mode, their pending requests, and interrupts
 * that make them leave the guest. Source: Linux, Documentation/virt/kvm/vcpu-requests.rst.
 *
 * The two halves of the handshake: the requester sets the request _before_ it reads the mode; the
 * vCPU sets its mode _before_ it reads its requests. So either the vCPU sees the request, or the
 * requester sends it an interrupt.
 *
 * All words of a vCPU are one resource: every step on it announces the same cell.
 */
import { actorName, BAD_GUEST_ENTRY, fault } from './faults.ts';
import type { Cell, Condition, Holdable, Machine } from './machine.ts';
import { READ, RMW, WAIT, WRITE, type Steps, access } from './step.ts';

/** Mode of a vCPU. EXITING_GUEST: it is in the guest, and has been kicked. */
export const OUTSIDE_GUEST = 0;
export const IN_GUEST = 1;
export const EXITING_GUEST = 2;
const GUEST_MODES = ['outside guest', 'in guest', 'exiting guest'] as const;
/** OUTSIDE_GUEST, IN_GUEST or EXITING_GUEST. */
export type GuestMode = 0 | 1 | 2;

/** A set of requests, one bit each. Their meaning is up to the user. */
export type Requests = number;

/** A vCPU thread's mode and requests. */
export class Vcpu implements Holdable {
  readonly name: string;
  /** The vCPU's mode. */
  readonly cell: Cell;
  /** Called when the vCPU leaves the guest; it is outside by the end of that step. */
  readonly onLeave: (() => void)[] = [];
  private readonly m: Machine;
  private readonly pending: Cell;
  /** Number of interrupts sent, and of those taken. */
  private readonly sent: Cell;
  private readonly taken: Cell;
  /** Index of the actor that runs the vCPU, plus two, while it is in the guest. */
  private readonly runner: Cell;
  /** Per actor: number of the interrupt that it waits for the vCPU to take. */
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

  /** Pending requests, within the current step. */
  requests(): Requests {
    return this.m.peek(this.pending);
  }

  /** Whether `actor` runs the vCPU, in the guest. */
  holds(actor: number): boolean {
    return this.m.peek(this.runner) === actor + 2;
  }

  /** Sets the mode to IN_GUEST. Later interrupts make the guest exit at its first step. */
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
        `${actorName(m, m.current)} makes it leave`,
      );
    }
    m.poke(this.cell, OUTSIDE_GUEST);
    m.poke(this.runner, 0);
    m.poke(this.taken, m.peek(this.sent));
    for (const listener of this.onLeave) listener();
  }

  /** Enters, and leaves at once when a request is pending; true when the vCPU is in the guest. */
  *enterUnlessRequested(): Steps<boolean> {
    yield* this.enter();
    if ((yield* this.checkRequests()) === 0) return true;
    yield* this.leave();
    return false;
  }

  /** Reads the pending requests, in one step. */
  *checkRequests(): Steps<Requests> {
    yield access(this.cell, READ);
    return this.requests();
  }

  /** Clears the requests `wanted`, in one step; returns those of them that were pending. */
  *takeRequests(wanted: Requests): Steps<Requests> {
    yield access(this.cell, RMW);
    const found = this.requests() & wanted;
    this.m.poke(this.pending, this.requests() & ~wanted);
    return found;
  }

  /** Clears every request, within the current step. */
  clearRequests(): void {
    this.m.poke(this.pending, 0);
  }

  /** An interrupt is pending, and the guest must exit. Within the current step. */
  isInterrupted(): boolean {
    return this.m.peek(this.sent) !== this.m.peek(this.taken);
  }

  /** The check between two instructions of the guest: {@link isInterrupted} as a step. */
  *notices(): Steps<boolean> {
    yield access(this.cell, READ);
    return this.isInterrupted();
  }

  /** Sends a device's or timer's interrupt, in one step. Outside the guest the host takes it. */
  *interrupt(): Steps<void> {
    yield access(this.cell, RMW);
    if (this.mode() !== OUTSIDE_GUEST) this.send();
  }

  private send(): void {
    this.m.poke(this.sent, this.m.peek(this.sent) + 1);
  }

  /** Makes requests of the vCPU, in one step. It checks them before it next enters the guest. */
  *request(wanted: Requests): Steps<void> {
    yield access(this.cell, RMW);
    this.m.poke(this.pending, this.requests() | wanted);
  }

  /** Makes the vCPU leave the guest if it is in it, without waiting. */
  *kick(): Steps<void> {
    yield access(this.cell, RMW);
    if (this.mode() !== IN_GUEST) return;
    this.m.poke(this.cell, EXITING_GUEST);
    this.send();
  }

  /** First half of {@link kickAndWait}: true when {@link waitForExit} has to follow. */
  *kickForWait(): Steps<boolean> {
    yield access(this.cell, RMW);
    if (this.mode() === OUTSIDE_GUEST) return false;
    this.m.poke(this.cell, EXITING_GUEST);
    this.send();
    this.m.poke(this.awaited + this.m.current, this.m.peek(this.sent));
    return true;
  }

  /** Waits until the vCPU has taken the current actor's interrupt, and so has left the guest. */
  *waitForExit(): Steps<void> {
    this.m.blockOn(this.hasTaken);
    yield access(this.cell, WAIT);
  }

  /** Makes the vCPU leave the guest if it is in it, and waits until it has. It may re-enter. */
  *kickAndWait(): Steps<void> {
    if (yield* this.kickForWait()) yield* this.waitForExit();
  }
}

/** Makes requests of all vCPUs (31 at most), kicks them, and waits until each left the guest. */
export function* requestAllAndWait(vcpus: readonly Vcpu[], wanted: Requests): Steps<void> {
  let waited = 0;
  for (const [i, vcpu] of vcpus.entries()) {
    yield* vcpu.request(wanted);
    if (yield* vcpu.kickForWait()) waited |= 1 << i;
  }
  for (const [i, vcpu] of vcpus.entries()) if ((waited & (1 << i)) !== 0) yield* vcpu.waitForExit();
}
