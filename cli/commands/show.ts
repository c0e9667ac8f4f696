/** `sept show POLICY 'SCENARIO'`: runs one scenario and shows what happened in it. */
import { Command } from 'commander';
import { isSameTree, treeSuffix } from '../../impl/vm/size.ts';
import { explain } from '../../properties/checker/check.ts';
import { Engine, type EngineOptions } from '../../properties/checker/engine.ts';
import { story } from '../../properties/checker/reports/report.ts';
import { timelineOf } from '../../properties/checker/reports/timeline.ts';
import { inTree, vmOf, type Scenario } from '../../properties/checker/scenarios/scenario.ts';
import { parseScenario } from '../../properties/checker/scenarios/text.ts';
import { nameOf } from '../../spec/tdx/versions/index.ts';
import { EXIT_CLEAN, EXIT_FINDINGS, UsageError } from '../errors.ts';
import { moduleNamed } from '../module-names.ts';
import {
  chosenTree,
  fanoutOption,
  levelsOption,
  emitTraceOption,
  jsonOption,
  moduleOption,
  propertyOption,
  ruleOption,
  type SharedOptions,
} from '../options.ts';
import { emphasised, printJson } from '../output.ts';
import { policyNamed } from '../policy-names.ts';
import { rulesNamed, withRules } from '../rule-names.ts';
import { assertTraceable, reportBeside, writeTrace } from '../writing-traces.ts';

type Options = Pick<SharedOptions, 'json' | 'module' | 'rules' | 'emitTrace' | 'levels' | 'fanout'>;

/** The command; it answers with the exit code. */
export const showCommand = (exit: (code: number) => void): Command =>
  new Command('show')
    .description('run one scenario, as printed by a failing check, and show what happened')
    .argument('<policy>', 'a policy by name, or a file that exports one as default')
    .argument('<scenario>', "the scenario, e.g. 'v0: touch 0 | h0: unmap 0 | @v0.0.12>1'")
    .addOption(jsonOption())
    .addOption(moduleOption())
    .addOption(levelsOption())
    .addOption(fanoutOption())
    .addOption(propertyOption())
    .addOption(ruleOption())
    .addOption(emitTraceOption('the run'))
    .addHelpText('after', '\nExit code: 0 no rule broken, 1 a rule broken, 2 unusable input.')
    .action(async (name: string, text: string, given: Options) => {
      const { json, rules, emitTrace } = given;
      assertTraceable(given);
      const [policy, judges] = [await policyNamed(name), await rulesNamed(rules)];
      const module = await moduleNamed(given.module);
      const handle = withRules(policy.handle, judges, rules);
      const options = { ...policy, ...judges, handle, module };
      const scenario = scenarioIn(parseScenario(text), given);
      const violation = new Engine({ ...options, ...vmOf(scenario) }).run(scenario);
      const report = violation === null ? null : explain(options, scenario, violation);
      if (json === true)
        printJson({
          policy: options.policy.name,
          module: nameOf(module),
          violation,
          rows: report?.rows.length ?? 0,
        });
      else
        reportBeside(emitTrace)(
          report === null ? unbroken(options, scenario) : emphasised(report.text),
        );
      if (emitTrace !== undefined) writeTrace(emitTrace, options, scenario, violation);
      exit(violation === null ? EXIT_CLEAN : EXIT_FINDINGS);
    });

/**
 * The scenario in the tree that the options name, which is the one that its text names, if both do.
 *
 * @throws UsageError
 */
function scenarioIn(scenario: Scenario, given: Options): Scenario {
  const chosen = chosenTree(given);
  if (chosen === null) return scenario;
  if (scenario.tree !== undefined && !isSameTree(chosen, scenario.tree)) {
    const { levels, fanout } = scenario.tree;
    throw new UsageError(
      `the scenario names levels ${levels}, fanout ${fanout}: leave --levels and --fanout out`,
    );
  }
  return inTree(scenario, chosen);
}

/** The timeline of a run that broke no rule. */
const unbroken = (options: EngineOptions, scenario: Scenario): string =>
  `${options.policy.name}, module ${nameOf(options.module)}${treeSuffix(vmOf(scenario).tree)}: ` +
  `no rule is broken by this scenario\n\n${story(timelineOf(options, scenario))}`;
