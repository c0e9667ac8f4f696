/**
 * Runs a history of raw calls step by step and writes down, of each call, when it began and ended and what it answered,
 * as recordings of the real module do; further, which lock refused it and whether anybody held that lock.
 */
import type { Cell } from '../../spec/machine/machine.ts';
import { run } from '../../spec/machine/run.ts';
import type { Steps } from '../../spec/machine/step.ts';
import { Call, OPERANDS_ZERO, type Operands } from '../../spec/tdx/call.ts';
import { classOf, MODULE_HALT, OPERAND_BUSY, SUCCESS } from '../../spec/tdx/status.ts';
import type { ModuleVersion } from '../../spec/tdx/versions.ts';
import { DeviationChoices } from '../histories/deviations.ts';
import type { ActorProgram, History } from '../histories/history.ts';
import type { Timed } from '../linearizability/specification.ts';
import { GUEST_CALLS, IDLE, LEAVE, MAX_STEPS, ROOT_LEVEL } from '../module/calls.ts';
import { ModuleWorld, TDVPRS } from '../module/world.ts';
import { HUNT_CALLS } from './programs.ts';
import { stateOf } from './final.ts';

/** The name under which a VCPU's exit for an interrupt is a call. */
export const EXIT = 'HW.TD.EXIT';
/** The interrupt state is looked at, and nothing is pending. */
const NEVER = -1;

/** A call that was made, with its answer. */
export interface MadeCall extends Timed {
  readonly actor: string;
  readonly name: string;
  readonly operands: Operands;
  readonly call: Call;
  /** The lock that refused it was held by nobody. */
  readonly isRefusedByNobody: boolean;
}

export interface Recorded {
  readonly calls: readonly MadeCall[];
  /** The call that stopped the platform, or null. */
  readonly halted: MadeCall | null;
  /** Locks that are still held at the end, by name. */
  readonly leaked: readonly string[];
  /** What the run left: see final.ts. */
  readonly end: readonly number[];
}

/** Records histories of one module, with one TD that is being built or runs. */
export class HistoryRecorder {
  readonly world: ModuleWorld;
  private readonly choices: DeviationChoices;
  private readonly holders = new Map<Cell, number>();
  /** By actor: whether nobody held the lock that refused it last. */
  private readonly refusedByNobody: boolean[] = [];
  private calls: MadeCall[] = [];
  private clock = 0;

  constructor(module: ModuleVersion, finalize: boolean) {
    this.world = new ModuleWorld({ module, finalize, rootLevel: ROOT_LEVEL });
    this.world.addTables(0);
    const { m, memory, tdx } = this.world;
    for (let page = 0; page < memory.pages; page++) memory.word(page, 0); // every page is mapped before the seal
    m.seal();
    this.choices = new DeviationChoices(m);
    tdx.locks.listeners.push({
      taken: (cell) => { this.holders.set(cell, (this.holders.get(cell) ?? 0) + 1); },
      released: (cell) => { this.holders.set(cell, (this.holders.get(cell) ?? 0) - 1); },
      refused: (cell) => { this.refusedByNobody[m.current] = (this.holders.get(cell) ?? 0) <= 0; },
    });
  }

  record({ actors, deviations }: History): Recorded {
    const { m } = this.world;
    m.reset();
    m.choices = this.choices;
    this.choices.follow(deviations);
    this.holders.clear();
    this.calls = [];
    this.clock = 0;
    for (const [index, actor] of actors.entries()) {
      const place = actors.slice(0, index).filter(({ role }) => role === actor.role).length;
      m.spawn(`${actor.role === 'vcpu' ? 'v' : 'h'}${place}`, this.program(actor, place));
    }
    run(m, MAX_STEPS);
    const halted = this.calls.find(({ call }) => call.status === MODULE_HALT) ?? null;
    const leaked = halted !== null ? [] : [...this.holders].filter(([, n]) => n > 0).map(([cell]) => m.nameOf(cell));
    return { calls: this.calls, halted, leaked, end: stateOf(this.world) };
  }

  private *program({ role, operations }: ActorProgram, place: number): Steps<void> {
    const { m } = this.world;
    const actor = `${role === 'vcpu' ? 'v' : 'h'}${place}`;
    for (const [at, { name, gfn }] of operations.entries()) {
      if (role === 'vcpu') {
        m.beginOp(-1); // entering is an operation of its own, that no deviation names
        if (!(yield* this.enter(actor, place))) return;
      }
      m.beginOp(at);
      if (name === IDLE) yield* m.relax(0);
      else if (role === 'host') yield* this.host(actor, name, gfn, TDVPRS.length + place);
      else yield* this.guest(actor, name, gfn, place);
    }
    if (role === 'vcpu' && this.world.isInside(place)) yield* this.exit(actor, place);
  }

  private *enter(actor: string, vcpu: number): Steps<boolean> {
    const { world } = this;
    if (world.isInside(vcpu)) return true;
    return (yield* this.made(actor, 'TDH.VP.ENTER', { rcx: world.address(world.tdvpr(vcpu)), lp: vcpu })).status === SUCCESS;
  }

  private *host(actor: string, operation: string, gfn: number, lp: number): Steps<void> {
    const call = HUNT_CALLS.get(operation);
    if (call === undefined) throw new Error(`unknown operation "${operation}"`); // names come from HUNT_SHAPES
    const [name, operands] = call(this.world, gfn);
    yield* this.made(actor, name, { ...operands, lp });
  }

  private *guest(actor: string, operation: string, gfn: number, vcpu: number): Steps<void> {
    if (operation === LEAVE) return yield* this.exit(actor, vcpu);
    const [name, level] = GUEST_CALLS.get(operation) ?? ['', 0];
    const { rcx } = this.world.mapping(gfn, level);
    yield* this.made(actor, name, { rcx, vcpu: this.world.tdvpr(vcpu), lp: vcpu });
  }

  private *exit(actor: string, vcpu: number): Steps<void> {
    const operands = { ...OPERANDS_ZERO, vcpu: this.world.tdvpr(vcpu), lp: vcpu };
    const invoked = this.clock++;
    yield* this.world.exit(vcpu);
    const call = new Call(EXIT, operands);
    this.calls.push({ actor, name: EXIT, operands, call, isRefusedByNobody: false, invoked, returned: this.clock++ });
  }

  private *made(actor: string, name: string, given: Partial<Operands>): Steps<Call> {
    const operands = { ...OPERANDS_ZERO, ...given, interruptAfter: NEVER };
    const invoked = this.clock++;
    const call = yield* this.world.invoke(name, operands);
    const isRefusedByNobody = classOf(call.status) === OPERAND_BUSY && call.busyLock >= 0
      && this.refusedByNobody[this.world.m.current] === true;
    this.calls.push({ actor, name, operands, call, isRefusedByNobody, invoked, returned: this.clock++ });
    return call;
  }
}
