/**
 * Runs a history of raw calls step by step and writes down, of each call, when it began and ended
 * and what it answered, as recordings of the real module do; further, which lock refused it and
 * whether anybody held that lock.
 */
import type { Cell } from '../../../spec/machine/machine.ts';
import type { Steps } from '../../../spec/machine/step.ts';
import { Call, OPERANDS_ZERO, type Operands } from '../../../spec/tdx/call.ts';
import type { InterfaceFunction } from '../../../spec/tdx/module.ts';
import { classOf, MODULE_HALT, OPERAND_BUSY } from '../../../spec/tdx/status.ts';
import type { ModuleVersion } from '../../../spec/tdx/versions.ts';
import { DeviationChoices } from '../../checker/scenarios/deviations.ts';
import type { Scenario } from '../../checker/scenarios/scenario.ts';
import type { Timed } from '../../linearizability/specification.ts';
import type { ModuleRig } from '../rig/rig.ts';
import { Threads } from '../rig/threads.ts';
import { begin, type Beginning } from './beginnings.ts';
import { stateOf } from './final.ts';
import { HUNT_CALLS } from './programs.ts';

/** The name under which a vCPU's exit for an interrupt is a call. */
export const EXIT = 'HW.TD.EXIT';

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

/** Records histories of one module, which begin in one state of the TD. */
export class HistoryRecorder {
  readonly rig: ModuleRig;
  private readonly threads: Threads;
  private readonly choices: DeviationChoices;
  private readonly holders = new Map<Cell, number>();
  /** By actor: whether nobody held the lock that refused it last. */
  private readonly refusedByNobody: boolean[] = [];
  private calls: MadeCall[] = [];
  private clock = 0;

  constructor(
    module: ModuleVersion,
    beginning: Beginning,
    functions: readonly InterfaceFunction[] = [],
  ) {
    this.rig = begin(module, beginning, functions);
    const { m, memory, tdx } = this.rig;
    for (let page = 0; page < memory.pages; page++) memory.word(page, 0); // every page is mapped before the seal
    m.seal();
    this.choices = new DeviationChoices(m);
    this.threads = new Threads(this.rig, HUNT_CALLS, {
      call: (actor, name, operands) => this.made(actor, name, operands),
      exit: (actor, vcpu, lp) => this.exit(actor, vcpu, lp),
    });
    tdx.locks.listeners.push({
      taken: (cell) => {
        this.holders.set(cell, (this.holders.get(cell) ?? 0) + 1);
      },
      released: (cell) => {
        this.holders.set(cell, (this.holders.get(cell) ?? 0) - 1);
      },
      refused: (cell) => {
        this.refusedByNobody[m.current] = (this.holders.get(cell) ?? 0) <= 0;
      },
    });
  }

  record({ actors, deviations }: Scenario): Recorded {
    const { m } = this.rig;
    m.reset();
    m.choices = this.choices;
    this.choices.follow(deviations);
    this.holders.clear();
    this.calls = [];
    this.clock = 0;
    this.threads.run(actors);
    const halted = this.calls.find(({ call }) => call.status === MODULE_HALT) ?? null;
    const leaked =
      halted !== null
        ? []
        : [...this.holders].filter(([, n]) => n > 0).map(([cell]) => m.nameOf(cell));
    return { calls: this.calls, halted, leaked, end: stateOf(this.rig) };
  }

  private *exit(actor: string, vcpu: number, lp: number): Steps<void> {
    const operands = { ...OPERANDS_ZERO, vcpu: this.rig.tdvpr(vcpu), lp };
    const { invoked } = yield* this.timed(this.rig.exit(vcpu));
    const call = new Call(EXIT, operands);
    this.calls.push({
      actor,
      name: EXIT,
      operands,
      call,
      isRefusedByNobody: false,
      invoked,
      returned: this.clock++,
    });
  }

  private *made(actor: string, name: string, given: Partial<Operands>): Steps<Call> {
    const operands = { ...OPERANDS_ZERO, ...given };
    const { invoked, result: call } = yield* this.timed(this.rig.invoke(name, operands));
    const isRefusedByNobody =
      classOf(call.status) === OPERAND_BUSY &&
      call.busyLock >= 0 &&
      this.refusedByNobody[this.rig.m.current] === true;
    this.calls.push({
      actor,
      name,
      operands,
      call,
      isRefusedByNobody,
      invoked,
      returned: this.clock++,
    });
    return call;
  }

  /**
   * A call begins with its first step, not when its thread announces that step, which may have to
   * wait.
   */
  private *timed<T>(steps: Steps<T>): Steps<{ readonly invoked: number; readonly result: T }> {
    const first = steps.next();
    if (first.done === true) return { invoked: this.clock++, result: first.value };
    yield first.value;
    const invoked = this.clock++;
    return { invoked, result: yield* steps };
  }
}
