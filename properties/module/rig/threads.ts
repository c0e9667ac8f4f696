/**
 * The threads of a history of raw calls: what each operation of a program comes to on the module,
 * call by call. Who watches says how a call is made; here is only which, and in which order.
 */
import { run, type Ending } from '../../../spec/machine/run.ts';
import type { Steps } from '../../../spec/machine/step.ts';
import type { Call, Operands } from '../../../spec/tdx/call.ts';
import { pageNumber } from '../../../spec/tdx/operands.ts';
import { SUCCESS } from '../../../spec/tdx/status.ts';
import type { ActorProgram, ActorRole } from '../../checker/scenarios/scenario.ts';
import { GUEST_CALLS, IDLE, LEAVE, TOUCH, type HostCall } from './calls.ts';
import { TDVPRS, type ModuleRig } from './rig.ts';

const ENTER = 'TDH.VP.ENTER';
/** More than any program takes: nothing here retries. */
const MAX_STEPS = 5_000;
/** To no operation of the program do an entry and an exit belong, so that no deviation names them. */
const BETWEEN = -1;

/** How a thread makes a call, and how a vCPU leaves the TD for an interrupt. */
export interface Caller {
  call(actor: string, name: string, operands: Partial<Operands>): Steps<Call>;
  exit(actor: string, vcpu: number, lp: number): Steps<void>;
}

/** Runs programs on one rig. */
export class Threads {
  private readonly rig: ModuleRig;
  private readonly hostCalls: ReadonlyMap<string, HostCall>;
  private readonly caller: Caller;
  /** LPs that make a call, or are in the guest. */
  private readonly atWork = new Set<number>();

  constructor(rig: ModuleRig, hostCalls: ReadonlyMap<string, HostCall>, caller: Caller) {
    this.rig = rig;
    this.hostCalls = hostCalls;
    this.caller = caller;
  }

  /** Runs them all, each on an LP of its own. */
  run(actors: readonly ActorProgram[]): Ending {
    const { m } = this.rig;
    this.atWork.clear();
    const places = new Map<ActorRole, number>();
    for (const actor of actors) {
      const place = places.get(actor.role) ?? 0;
      places.set(actor.role, place + 1);
      const name = `${actor.role === 'vcpu' ? 'v' : 'h'}${place}`;
      m.spawn(
        name,
        actor.role === 'vcpu'
          ? this.vcpu(name, actor, place)
          : this.host(name, actor, hostLp(place)),
      );
    }
    return run(m, MAX_STEPS);
  }

  private *host(actor: string, { operations }: ActorProgram, lp: number): Steps<void> {
    const { m } = this.rig;
    for (const [place, { name, gfn }] of operations.entries()) {
      m.beginOp(place);
      if (name === IDLE) {
        yield* m.relax(0);
        continue;
      }
      const [fn, operands] = (this.hostCalls.get(name) ?? unknown(name))(this.rig, gfn);
      const at = operands.lp ?? lp;
      if (this.atWork.has(at)) yield* this.awaitLp(at);
      this.atWork.add(at);
      const call = yield* this.caller.call(actor, fn, { ...operands, lp: at });
      // a thread that gets into the guest has nothing to do there
      if (fn === ENTER && call.status === SUCCESS)
        yield* this.caller.exit(actor, gfn % TDVPRS.length, at);
      this.atWork.delete(at);
    }
  }

  /** An LP does one thing at a time. */
  private *awaitLp(lp: number): Steps<void> {
    while (this.atWork.has(lp)) yield* this.rig.m.waitUntil(0, () => !this.atWork.has(lp));
  }

  private *vcpu(actor: string, { operations }: ActorProgram, vcpu: number): Steps<void> {
    const { m } = this.rig;
    let isInside = false;
    for (const [at, { name, gfn }] of operations.entries()) {
      m.beginOp(BETWEEN);
      if (!isInside) isInside = yield* this.enter(actor, vcpu);
      if (!isInside) return;
      m.beginOp(at);
      if (name === IDLE) yield* m.relax(0);
      else isInside = yield* this.instruction(actor, name, gfn, vcpu);
    }
    if (isInside) yield* this.leave(actor, vcpu);
  }

  private *leave(actor: string, vcpu: number): Steps<void> {
    yield* this.caller.exit(actor, vcpu, vcpu);
    this.atWork.delete(vcpu);
  }

  /** Makes the vCPU enter; false when the module refuses. */
  private *enter(actor: string, vcpu: number): Steps<boolean> {
    const { rig } = this;
    if (this.atWork.has(vcpu)) yield* this.awaitLp(vcpu);
    this.atWork.add(vcpu);
    const operands = { rcx: rig.address(rig.tdvpr(vcpu)), lp: vcpu };
    const { status } = yield* this.caller.call(actor, ENTER, operands);
    if (status !== SUCCESS) this.atWork.delete(vcpu);
    return status === SUCCESS;
  }

  /** One instruction of the guest; is it still inside? An interrupt takes it out. */
  private *instruction(
    actor: string,
    operation: string,
    gfn: number,
    vcpu: number,
  ): Steps<boolean> {
    const { rig, caller } = this;
    const guestCall = GUEST_CALLS.get(operation);
    if (operation !== LEAVE) {
      const [name, level] = guestCall ?? unknown(operation);
      const { rcx } = rig.mapping(gfn, level);
      const call = yield* caller.call(actor, name, { rcx, vcpu: rig.tdvpr(vcpu), lp: vcpu });
      if (call.exitReason >= 0) {
        this.atWork.delete(vcpu);
        return false;
      }
      if (operation === TOUCH && !call.injectedVe) rig.use(pageNumber(rig.tdx, call.rcx));
      if (!call.interrupted) return true;
    }
    yield* this.leave(actor, vcpu);
    return false;
  }
}

/** The LPs behind those of the vCPUs. */
export const hostLp = (place: number): number => TDVPRS.length + place;

function unknown(operation: string): never {
  throw new Error(`unknown operation "${operation}"`);
}
