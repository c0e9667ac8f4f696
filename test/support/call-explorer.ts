/**
 * Runs random programs of raw calls on the module alone, watched by the T rules. Programs,
 * schedules, their text and their shrinking are those of scenarios; an operation is one call.
 */
import fc from 'fast-check';
import { ScenarioArbitrary, type Shape } from '../../properties/checker/scenarios/arbitrary.ts';
import { DeviationChoices } from '../../properties/checker/scenarios/deviations.ts';
import type { Scenario } from '../../properties/checker/scenarios/scenario.ts';
import { shrink } from '../../properties/checker/scenarios/shrink.ts';
import { formatScenario } from '../../properties/checker/scenarios/text.ts';
import { HOST_CALLS, IDLE, LEAVE, PAMT_CALLS, TOUCH } from '../../properties/module/rig/calls.ts';
import { ROOT_LEVEL } from '../../properties/module/rig/rig.ts';
import { Threads } from '../../properties/module/rig/threads.ts';
import type { Choices } from '../../spec/machine/choices.ts';
import { RuleBook } from '../../spec/machine/monitor.ts';
import type { Violation } from '../../spec/machine/rule.ts';
import type { TdxModule } from '../../spec/tdx/module.ts';
import { TDX_RULES } from '../../spec/tdx/rules/index.ts';
import { listsVersion } from '../../spec/tdx/versions/index.ts';
import { TdRig, type TdRigOptions } from './td-rig.ts';

/** Two threads of the VMM and a vCPU, or two vCPUs: the races of the module need no more. */
export const CALL_SHAPE: Shape = {
  vm: 'td',
  roles: ['host', 'vcpu', 'host'],
  operations: {
    host: [...HOST_CALLS.keys(), 'aug', 'block', 'track', 'remove', IDLE],
    vcpu: ['accept', 'accept', 'accept-huge', TOUCH, IDLE, LEAVE],
  },
  maxOperations: 5,
  gfns: 4,
  maxDeviations: 4,
  maxStep: 24,
};

export interface ExploreOptions extends Pick<
  TdRigOptions,
  'module' | 'finalize' | 'params' | 'functions' | 'create'
> {
  readonly seed: number;
  readonly runs: number;
  readonly shape?: Shape;
}

/** A shrunk scenario that breaks a rule. */
interface CallCounterexample {
  readonly violation: Violation;
  readonly text: string;
}

/** Runs scenarios of raw calls, watched by all T rules, also those that module 1.5 breaks. */
export class CallExplorer {
  readonly rig: TdRig;
  readonly book: RuleBook<TdxModule>;
  private readonly choices: DeviationChoices;
  private readonly threads: Threads;

  constructor(options: Omit<ExploreOptions, 'seed' | 'runs'>) {
    const rig = new TdRig({ rootLevel: ROOT_LEVEL, ...options });
    rig.addTables(0);
    const { m, memory, tdx } = rig;
    const rules = TDX_RULES.filter(({ versions }) => listsVersion(versions, options.module));
    for (let page = rig.firstPage; page < memory.pages; page++) rig.use(page);
    m.seal();
    this.rig = rig;
    this.book = new RuleBook(m, tdx, rules);
    this.choices = new DeviationChoices(m);
    this.threads = new Threads(rig, new Map([...HOST_CALLS, ...PAMT_CALLS]), {
      call: (_actor, name, operands) => rig.invoke(name, operands),
      exit: (_actor, vcpu) => rig.exit(vcpu),
    });
  }

  /** Runs one scenario. Its deviations are the schedule, unless other choices are given. */
  run({ actors, deviations }: Scenario, choices: Choices = this.choices): Violation | null {
    const { m } = this.rig;
    m.reset();
    m.choices = choices;
    this.choices.follow(deviations);
    if (this.threads.run(actors) === 'finished') this.book.atRest();
    return m.violation;
  }
}

/** Runs random scenarios and shrinks the first one that breaks each rule. Returns them by rule. */
export function explore(options: ExploreOptions): ReadonlyMap<string, CallCounterexample> {
  const explorer = new CallExplorer(options);
  const found = new Map<string, Scenario>();
  fc.check(
    fc.property(new ScenarioArbitrary(options.shape ?? CALL_SHAPE), (scenario) => {
      const rule = explorer.run(scenario)?.rule;
      if (rule !== undefined && !found.has(rule)) found.set(rule, scenario);
    }),
    { seed: options.seed, numRuns: options.runs },
  );
  return new Map(
    [...found].map(([rule, scenario]) => {
      const shrunk = shrink(scenario, (smaller) => explorer.run(smaller)?.rule === rule).scenario;
      const violation = explorer.run(shrunk) as Violation; // shrink() has seen it break the rule
      return [rule, { violation, text: formatScenario(shrunk) }];
    }),
  );
}
