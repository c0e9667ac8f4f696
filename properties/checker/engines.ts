/** One engine for each kind of VM that a policy runs, and their totals. */
import type { Vm, VmKind } from '../../impl/vm/vm.ts';
import type { Rule } from '../../spec/machine/monitor.ts';
import { compareIds, type Violation } from '../../spec/machine/rule.ts';
import { Engine, type EngineOptions } from './engine.ts';
import type { Scenario } from './scenarios/scenario.ts';

export class Engines {
  private readonly options: EngineOptions;
  private readonly byKind = new Map<VmKind, Engine>();

  constructor(options: EngineOptions) {
    this.options = options;
  }

  /**
   * Runs a scenario on a VM of its kind. @throws UnusableScenario when the policy does not run such
   * VMs
   */
  run(scenario: Scenario): Violation | null {
    return this.engine(scenario.vm).run(scenario);
  }

  /** The engine for a kind of VM, created at its first use. */
  private engine(kind: VmKind): Engine {
    const engine = this.byKind.get(kind) ?? new Engine({ ...this.options, kind });
    this.byKind.set(kind, engine);
    return engine;
  }

  /** Steps performed in all runs. */
  get steps(): number {
    return this.sum((engine) => engine.steps);
  }

  /** The rules that judge, each once, in order of their ids. */
  get rules(): readonly Rule<Vm>[] {
    const all = this.options.policy.vms.flatMap((kind) => this.engine(kind).book.rules);
    return [...new Map(all.map((rule) => [rule.id, rule])).values()].toSorted((a, b) =>
      compareIds(a.id, b.id),
    );
  }

  timesExercised(id: string): number {
    return this.sum((engine) => engine.book.timesExercised(id));
  }

  private sum(of: (engine: Engine) => number): number {
    return [...this.byKind.values()].reduce((total, engine) => total + of(engine), 0);
  }
}
