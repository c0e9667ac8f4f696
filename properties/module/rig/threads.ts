/**
 * Runs the programs of a scenario of raw calls: each operation becomes calls of the module. A
 * `Caller` makes the calls, so that it can record them.
 */
import { run, type Ending } from '../../../spec/machine/run.ts';
import type { Steps } from '../../../spec/machine/step.ts';
import type { Call, Operands } from '../../../spec/tdx/call.ts';
import { SUCCESS } from '../../../spec/tdx/status.ts';
import type { ActorProgram, ActorRole } from '../../checker/scenarios/scenario.ts';
import { GUEST_CALLS, IDLE, LEAVE, type HostOperation, type Made } from './calls.ts';
import { TDVPRS, USED, type ModuleRig } from './rig.ts';

const ENTER = 'TDH.VP.ENTER';
/** No program takes as many steps: nothing retries here. */
const MAX_STEPS = 5_000;
/** An entry or exit belongs to no operation of the program, so no deviation names it. */
const BETWEEN = -1;

/** Makes a thread's call, and a vCPU's exit for an interrupt. */
interface Caller {
  call(actor: string, name: string, operands: Partial<Operands>): Steps<Call>;
  exit(actor: string, vcpu: number, lp: number): Steps<void>;
}

export class Threads {
  private readonly rig: ModuleRig;
  private readonly hostCalls: ReadonlyMap<string, HostOperation>;
  private readonly caller: Caller;
  /** LPs on which a call or a guest runs. */
  private readonly busyLps = new Set<number>();

  constructor(rig: ModuleRig, hostCalls: ReadonlyMap<string, HostOperation>, caller: Caller) {
    this.rig = rig;
    this.hostCalls = hostCalls;
    this.caller = caller;
  }

  /** Runs all programs, each on an LP of its own. */
  run(actors: readonly ActorProgram[]): Ending {
    const { m } = this.rig;
    this.busyLps.clear();
    const counts = new Map<ActorRole, number>();
    for (const actor of actors) {
      const index = counts.get(actor.role) ?? 0;
      counts.set(actor.role, index + 1);
      const name = `${actor.role === 'vcpu' ? 'v' : 'h'}${index}`;
      m.spawn(
        name,
        actor.role === 'vcpu'
          ? this.vcpu(name, actor, index)
          : this.host(name, actor, hostLp(index)),
      );
    }
    return run(m, MAX_STEPS);
  }

  private *host(actor: string, { operations }: ActorProgram, lp: number): Steps<void> {
    const { m } = this.rig;
    for (const [index, { name, gfn }] of operations.entries()) {
      m.beginOp(index);
      if (name === IDLE) {
        yield* m.relax(0);
        continue;
      }
      const made = (this.hostCalls.get(name) ?? unknown(name))(this.rig, gfn);
      for (const [fn, operands] of isOne(made) ? [made] : made) {
        const at = operands.lp ?? lp;
        if (this.busyLps.has(at)) yield* this.awaitLp(at);
        this.busyLps.add(at);
        const call = yield* this.caller.call(actor, fn, { ...operands, lp: at });
        // a host thread that enters the guest has nothing to do there
        if (fn === ENTER && call.status === SUCCESS)
          yield* this.caller.exit(actor, gfn % TDVPRS.length, at);
        this.busyLps.delete(at);
      }
    }
  }

  /** Waits until the LP is free. */
  private *awaitLp(lp: number): Steps<void> {
    while (this.busyLps.has(lp)) yield* this.rig.m.waitUntil(0, () => !this.busyLps.has(lp));
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
    this.busyLps.delete(vcpu);
  }

  /** Makes the vCPU enter. Returns false if the module refuses. */
  private *enter(actor: string, vcpu: number): Steps<boolean> {
    const { rig } = this;
    if (this.busyLps.has(vcpu)) yield* this.awaitLp(vcpu);
    this.busyLps.add(vcpu);
    const operands = { rcx: rig.address(rig.tdvpr(vcpu)), lp: vcpu };
    const { status } = yield* this.caller.call(actor, ENTER, operands);
    if (status !== SUCCESS) this.busyLps.delete(vcpu);
    return status === SUCCESS;
  }

  /** Executes one instruction of the guest. Returns whether the vCPU is still inside. */
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
      const operands = { rcx, vcpu: rig.tdvpr(vcpu), lp: vcpu, data: USED };
      const call = yield* caller.call(actor, name, operands);
      if (call.exitReason >= 0) {
        this.busyLps.delete(vcpu);
        return false;
      }
      if (!call.interrupted) return true;
    }
    yield* this.leave(actor, vcpu);
    return false;
  }
}

const isOne = (made: Made | readonly Made[]): made is Made => typeof made[0] === 'string';

/** The LPs behind those of the vCPUs. */
const hostLp = (index: number): number => TDVPRS.length + index;

function unknown(operation: string): never {
  throw new Error(`unknown operation "${operation}"`);
}
