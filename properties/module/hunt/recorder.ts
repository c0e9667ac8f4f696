/**
 * Runs a scenario of raw calls step by step and records its history: when each call began and
 * returned, and its answer, as in recordings of the real module; and whether the lock that refused
 * it was held.
 */
import type { Cell } from '../../../spec/machine/machine.ts';
import type { Steps } from '../../../spec/machine/step.ts';
import { Call, OPERANDS_ZERO, type Operands } from '../../../spec/tdx/call.ts';
import type { InterfaceFunction } from '../../../spec/tdx/module.ts';
import { classOf, MODULE_HALT, OPERAND_BUSY } from '../../../spec/tdx/status.ts';
import type { ModuleVersion } from '../../../spec/tdx/versions/index.ts';
import type { Scenario } from '../../checker/scenarios/scenario.ts';
import type { Timed } from '../../linearizability/specification.ts';
import type { ModuleRig } from '../rig/rig.ts';
import { Threads } from '../rig/threads.ts';
import { rigAt, type Beginning } from './beginnings.ts';
import { huntCalls } from './calls.ts';
import { LATE_EXIT, RunFacts } from './facts.ts';
import { MeasuringChoices } from './measuring-choices.ts';
import { visibleState } from './visible-state.ts';

/** The name of a vCPU's exit for an interrupt, which counts as a call. */
export const EXIT = 'HW.TD.EXIT';

/** Values that are written to memory are this and above, so that none is a page of zeroes. */
const FIRST_VALUE = 0x100;

/** A call with its answer. */
export interface RecordedCall extends Timed {
  readonly actor: string;
  readonly name: string;
  readonly operands: Operands;
  readonly call: Call;
  /** The lock that refused the call was not held. */
  readonly isRefusedWithoutHolder: boolean;
}

export interface History {
  readonly calls: readonly RecordedCall[];
  /** The call that stopped the platform, or null. */
  readonly halted: RecordedCall | null;
  /** The function of a call that has not returned when the run is cut off, or null. */
  readonly unended: string | null;
  /** Locks that are still held at the end, by name. */
  readonly leaked: readonly string[];
  /** What happened; see facts.ts. */
  readonly facts: readonly string[];
}

/** Records histories of one module that have one beginning. */
export class HistoryRecorder {
  readonly rig: ModuleRig;
  private readonly threads: Threads;
  private readonly choices: MeasuringChoices;
  private readonly facts: RunFacts;
  private readonly holders = new Map<Cell, number>();
  /** By actor: the lock that refused it last was not held. */
  private readonly refusedWithoutHolder: boolean[] = [];
  private calls: RecordedCall[] = [];
  /** By actor: the function that it has called and that has not returned. */
  private readonly open = new Map<string, string>();
  private clock = 0;
  /** The value that the next call writes to memory. */
  private value = FIRST_VALUE;

  constructor(
    module: ModuleVersion,
    beginning: Beginning,
    functions: readonly InterfaceFunction[] = [],
  ) {
    this.rig = rigAt(module, beginning, functions);
    const { m, memory, tdx } = this.rig;
    // every page must have its cells before the seal
    for (let page = 0; page < memory.pages; page++) memory.word(page, 0);
    m.seal();
    this.choices = new MeasuringChoices(m);
    this.threads = new Threads(this.rig, huntCalls(tdx.version), {
      call: (actor, name, operands) => this.call(actor, name, operands),
      exit: (actor, vcpu, lp) => this.exit(actor, vcpu, lp),
    });
    this.facts = new RunFacts(tdx);
    tdx.locks.listeners.push({
      taken: (cell) => {
        this.holders.set(cell, (this.holders.get(cell) ?? 0) + 1);
      },
      released: (cell) => {
        this.holders.set(cell, (this.holders.get(cell) ?? 0) - 1);
      },
      refused: (cell) => {
        this.refusedWithoutHolder[m.current] = (this.holders.get(cell) ?? 0) <= 0;
      },
    });
  }

  /** Records a drawn scenario, and returns it with its preemptions as steps. */
  recordDrawn(drawn: Scenario): { readonly scenario: Scenario; readonly history: History } {
    const expected = this.choices.expected(drawn);
    const history = this.record(expected);
    const scenario = this.choices.fit(drawn, expected);
    return { scenario, history: scenario === expected ? history : this.record(scenario) };
  }

  record({ actors, deviations }: Scenario): History {
    const { m } = this.rig;
    m.reset();
    m.choices = this.choices;
    this.choices.follow(deviations);
    this.holders.clear();
    this.open.clear();
    this.facts.clear();
    this.calls = [];
    this.clock = 0;
    this.value = FIRST_VALUE;
    this.threads.run(actors);
    const halted = this.calls.find(({ call }) => call.status === MODULE_HALT) ?? null;
    const leaked =
      halted !== null
        ? []
        : [...this.holders].filter(([, n]) => n > 0).map(([cell]) => m.nameOf(cell));
    const { calls } = this;
    const facts = [...this.facts.all, ...(hasLateExit(calls) ? [LATE_EXIT] : [])];
    return { calls, halted, unended: this.unended(), leaked, facts };
  }

  /** The state at the end of the run that was recorded last; see visible-state.ts. */
  end(): readonly number[] {
    return visibleState(this.rig);
  }

  /** Of the calls that have not returned, the function of that whose thread has run longest. */
  private unended(): string | null {
    const [longest] = this.rig.m.actors
      .filter(({ name }) => this.open.has(name))
      .toSorted((a, b) => b.taken - a.taken);
    return this.open.get(longest?.name ?? '') ?? null;
  }

  private *exit(actor: string, vcpu: number, lp: number): Steps<void> {
    const operands = { ...OPERANDS_ZERO, vcpu: this.rig.tdvpr(vcpu), lp };
    const steps = this.rig.exit(vcpu);
    const first = steps.next();
    if (first.done !== true) yield first.value;
    const invoked = this.clock++;
    yield* steps;
    this.returned(actor, new Call(EXIT, operands), invoked);
  }

  private *call(actor: string, name: string, given: Partial<Operands>): Steps<Call> {
    // each write has a value of its own, so that a read shows which writes it came after
    const operands = { ...OPERANDS_ZERO, ...given, data: this.value++ };
    this.open.set(actor, name);
    const steps = this.rig.made(name, operands);
    const first = steps.next();
    if (first.done !== true) yield first.value;
    // a call begins with its first step, not when its thread announces that step
    const invoked = this.clock++;
    const call = first.done === true ? first.value : yield* steps;
    this.open.delete(actor);
    this.returned(actor, call, invoked);
    return call;
  }

  private returned(actor: string, call: Call, invoked: number): void {
    const isRefusedWithoutHolder =
      classOf(call.status) === OPERAND_BUSY &&
      call.busyLock >= 0 &&
      this.refusedWithoutHolder[this.rig.m.current] === true;
    const { name, in: operands } = call;
    const returned = this.clock++;
    this.calls.push({ actor, name, operands, call, isRefusedWithoutHolder, invoked, returned });
  }
}

/** A call returned during the exit of a vCPU, which may end a call of its own. */
const hasLateExit = (calls: readonly RecordedCall[]): boolean =>
  calls.some(
    (exit) =>
      (exit.name === EXIT || exit.call.exitReason >= 0) &&
      calls.some(({ returned }) => exit.invoked < returned && returned < exit.returned),
  );
