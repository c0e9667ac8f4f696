/**
 * Random programs of raw calls on the module alone: what its own rules say of it, whatever a VMM
 * does. Programs, schedules, their text and their shrinking are those of histories (history.ts); an
 * operation is one call.
 */
import fc from 'fast-check';
import type { Choices } from '../../../spec/machine/choices.ts';
import { RuleBook } from '../../../spec/machine/monitor.ts';
import type { Violation } from '../../../spec/machine/rule.ts';
import type { TdxModule } from '../../../spec/tdx/module.ts';
import { TDX_RULES } from '../../../spec/tdx/rules/index.ts';
import { ScenarioArbitrary, type Shape } from '../../checker/scenarios/arbitrary.ts';
import { DeviationChoices } from '../../checker/scenarios/deviations.ts';
import type { Scenario } from '../../checker/scenarios/scenario.ts';
import { shrink } from '../../checker/scenarios/shrink.ts';
import { formatScenario } from '../../checker/scenarios/text.ts';
import { HOST_CALLS, IDLE, LEAVE, TOUCH } from './calls.ts';
import { Threads } from './threads.ts';
import { ModuleWorld, ROOT_LEVEL, type WorldOptions } from './world.ts';

/** Two VMM threads and a vCPU, or two vCPUs: where the races of the module live. */
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
  WorldOptions,
  'module' | 'finalize' | 'params' | 'functions' | 'create'
> {
  readonly seed: number;
  readonly runs: number;
  readonly shape?: Shape;
}

/** What broke a rule: the shrunk history, and how many histories it took to find one. */
export interface CallFinding {
  readonly violation: Violation;
  readonly text: string;
  readonly foundAfter: number;
}

export interface Exploration {
  /** By rule. */
  readonly findings: ReadonlyMap<string, CallFinding>;
  /** How often the premise of each rule held, by rule. */
  readonly exercised: Readonly<Record<string, number>>;
}

/** Runs histories of raw calls, all T rules watching, findings of a real module included. */
export class CallExplorer {
  readonly world: ModuleWorld;
  readonly book: RuleBook<TdxModule>;
  private readonly choices: DeviationChoices;
  private readonly threads: Threads;

  constructor(options: Omit<ExploreOptions, 'seed' | 'runs'>) {
    this.world = new ModuleWorld({ rootLevel: ROOT_LEVEL, ...options });
    this.world.addTables(0);
    const { m, memory, tdx } = this.world;
    const rules = TDX_RULES.filter(
      ({ versions }) => versions.includes('*') || versions.includes(options.module),
    );
    for (let page = this.world.firstPage; page < memory.pages; page++) this.world.use(page);
    m.seal();
    this.book = new RuleBook(m, tdx, rules);
    this.choices = new DeviationChoices(m);
    const { world } = this;
    this.threads = new Threads(world, HOST_CALLS, {
      call: (_actor, name, operands) => world.invoke(name, operands),
      exit: (_actor, vcpu) => world.exit(vcpu),
    });
  }

  /** Runs one history; its schedule is that of its deviations, unless other choices are given. */
  run({ actors, deviations }: Scenario, choices: Choices = this.choices): Violation | null {
    const { m } = this.world;
    m.reset();
    m.choices = choices;
    this.choices.follow(deviations);
    if (this.threads.run(actors) === 'finished') this.book.atRest();
    return m.violation;
  }
}

/** Runs random histories; the first one that broke each rule is shrunk. */
export function explore(options: ExploreOptions): Exploration {
  const explorer = new CallExplorer(options);
  const found = new Map<string, { readonly history: Scenario; readonly foundAfter: number }>();
  let histories = 0;
  fc.check(
    fc.property(new ScenarioArbitrary(options.shape ?? CALL_SHAPE), (history) => {
      histories++;
      const violation = explorer.run(history);
      if (violation !== null && !found.has(violation.rule))
        found.set(violation.rule, { history, foundAfter: histories });
    }),
    { seed: options.seed, numRuns: options.runs },
  );
  const { rules } = explorer.book;
  const exercised = Object.fromEntries(
    rules.map(({ id }) => [id, explorer.book.timesExercised(id)]),
  );
  const findings = [...found].map(([rule, { history, foundAfter }]): [string, CallFinding] => {
    const shrunk = shrink(history, (candidate) => explorer.run(candidate)?.rule === rule).scenario;
    const violation = explorer.run(shrunk) as Violation; // it was run before, with this outcome
    return [rule, { violation, text: formatScenario(shrunk), foundAfter }];
  });
  return { findings: new Map(findings), exercised };
}
