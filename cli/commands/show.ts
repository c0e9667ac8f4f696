/** `sept show POLICY 'HISTORY'`: runs one scenario and shows what happened in it. */
import { Command } from 'commander';
import { explain } from '../../properties/checker/check.ts';
import { Engine, type EngineOptions } from '../../properties/checker/engine.ts';
import { story } from '../../properties/checker/reports/report.ts';
import { timelineOf } from '../../properties/checker/reports/timeline.ts';
import type { Scenario } from '../../properties/checker/scenarios/scenario.ts';
import { parseScenario } from '../../properties/checker/scenarios/text.ts';
import { EXIT_CLEAN, EXIT_FINDINGS } from '../errors.ts';
import {
  emitTraceOption,
  jsonOption,
  moduleOption,
  propertyOption,
  type Knobs,
} from '../options.ts';
import { emphasised, print, printJson } from '../output.ts';
import { policyNamed } from '../policy-names.ts';
import { rulesNamed, withRules } from '../rule-names.ts';
import { assertWritable, writeTrace } from '../writing-traces.ts';

type Options = Pick<Knobs, 'json' | 'module' | 'property' | 'emitTrace'>;

/** The command; it answers with the exit code. */
export const showCommand = (exit: (code: number) => void): Command =>
  new Command('show')
    .description('run one scenario, as printed by a failing check, and show what happened')
    .argument('<policy>', 'a policy by name, or a file that exports one as default')
    .argument('<scenario>', "the scenario, e.g. 'v0: touch 0 | h0: unmap 0 | @v0.0.12>1'")
    .addOption(jsonOption())
    .addOption(moduleOption())
    .addOption(propertyOption())
    .addOption(emitTraceOption('the run'))
    .addHelpText('after', '\nExit code: 0 no rule broken, 1 a rule broken, 2 unusable input.')
    .action(async (name: string, text: string, { json, module, property, emitTrace }: Options) => {
      assertWritable(emitTrace);
      const [chosen, rules] = [await policyNamed(name), await rulesNamed(property)];
      const options = {
        ...chosen,
        ...rules,
        handle: withRules(chosen.handle, rules, property),
        module,
      };
      const scenario = parseScenario(text);
      const violation = new Engine({ ...options, kind: scenario.vm }).run(scenario);
      const report = violation === null ? null : explain(options, scenario, violation);
      if (json === true)
        printJson({
          policy: options.policy.name,
          module,
          violation,
          rows: report?.rows.length ?? 0,
        });
      else print(report === null ? unbroken(options, scenario) : emphasised(report.text));
      if (emitTrace !== undefined) writeTrace(emitTrace, options, scenario, violation);
      exit(violation === null ? EXIT_CLEAN : EXIT_FINDINGS);
    });

/** What happened in a run that broke nothing. */
const unbroken = (options: EngineOptions, scenario: Scenario): string =>
  `${options.policy.name}, module ${options.module}: no rule is broken by this scenario\n\n${story(timelineOf(options, scenario))}`;
