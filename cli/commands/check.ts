/**
 * `sept check POLICY`: runs random concurrent scenarios on a policy and prints the verdict, with
 * the shrunk counterexample of each broken rule.
 */
import { Command } from 'commander';
import { DEFAULT_TREE, isSameTree, treeSuffix } from '../../impl/vm/size.ts';
import { check, type Verdict } from '../../properties/checker/check.ts';
import { checkForeign } from '../../properties/checker/determinism.ts';
import { CORPUS } from '../../properties/checker/scenarios/corpus.ts';
import { EXIT_CLEAN, EXIT_FINDINGS } from '../errors.ts';
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
  runsOption,
  seedOption,
  timeOption,
  type SharedOptions,
} from '../options.ts';
import { emphasised, coloured, printJson } from '../output.ts';
import { policyNamed } from '../policy-names.ts';
import { rulesNamed, withRules } from '../rule-names.ts';
import { assertTraceable, reportBeside, writeTrace } from '../writing-traces.ts';

type Options = Pick<
  SharedOptions,
  'json' | 'module' | 'seed' | 'runs' | 'time' | 'rules' | 'emitTrace' | 'levels' | 'fanout'
>;

const DEFAULT_SEED = 1;
const DEFAULT_RUNS = 20_000;
/** With a time budget, the time is the limit. */
const UNLIMITED_RUNS = 2 ** 31 - 1;

/** The command; it answers with the exit code. */
export const checkCommand = (exit: (code: number) => void): Command =>
  new Command('check')
    .description('check an MMU policy against every rule under random concurrent scenarios')
    .argument('<policy>', 'a policy by name, or a file that exports one as default')
    .addOption(jsonOption())
    .addOption(moduleOption())
    .addOption(levelsOption())
    .addOption(fanoutOption())
    .addOption(seedOption())
    .addOption(runsOption())
    .addOption(timeOption())
    .addOption(propertyOption())
    .addOption(ruleOption())
    .addOption(emitTraceOption('the first counterexample, or the longest run where there is none,'))
    .addHelpText(
      'after',
      `
The verdict is "passes" when no rule was broken and every required rule was exercised within the budget.
Exit code: 0 passes, 1 fails or inconclusive, 2 unusable input.`,
    )
    .action(async (name: string, given: Options) => {
      const { json, seed, runs, time, rules, emitTrace } = given;
      assertTraceable(given);
      const [policy, judges] = [await policyNamed(name), await rulesNamed(rules)];
      const module = await moduleNamed(given.module);
      const isShipped = policy.guard === undefined && typeof module === 'string';
      const handle = withRules(policy.handle, judges, rules);
      const tree = chosenTree(given) ?? DEFAULT_TREE;
      const options = { ...policy, ...judges, handle, module, tree };
      const verdict = (isShipped ? check : checkForeign)({
        ...options,
        corpus: CORPUS,
        seed: seed ?? DEFAULT_SEED,
        runs: runs ?? (time === undefined ? DEFAULT_RUNS : UNLIMITED_RUNS),
        ...(time === undefined ? {} : { timeLimit: time }),
      });
      if (json === true) printJson(jsonOf(verdict));
      else printVerdict(verdict, reportBeside(emitTrace));
      const [first] = verdict.counterexamples;
      if (emitTrace !== undefined)
        writeTrace(
          emitTrace,
          options,
          first?.scenario ?? verdict.longest,
          first?.violation ?? null,
        );
      exit(verdict.verdict === 'passes' ? EXIT_CLEAN : EXIT_FINDINGS);
    });

const jsonOf = ({
  policy,
  module,
  tree,
  verdict,
  scenarios,
  seed,
  counterexamples,
  exercised,
}: Verdict): object => ({
  policy,
  module,
  ...(isSameTree(tree, DEFAULT_TREE) ? {} : { tree }),
  verdict,
  histories: scenarios,
  seed,
  violations: counterexamples.map(({ violation, report, text, foundAfter }) => ({
    rule: violation.rule,
    rows: report.rows.length,
    switches: report.switches,
    history: text,
    foundAfter,
  })),
  exercised,
});

function printVerdict(
  {
    policy,
    module,
    tree,
    verdict,
    scenarios,
    steps,
    seed,
    counterexamples,
    unexercised,
    notApplicable,
  }: Verdict,
  say: (line: string) => void,
): void {
  say(
    `${policy}, module ${module}${treeSuffix(tree)}: ${coloured(verdict)} ` +
      `(${scenarios} scenarios, ${steps} steps, seed ${seed})`,
  );
  if (unexercised.length > 0) say(`not exercised: ${unexercised.join(', ')}`);
  if (notApplicable.length > 0) say(`not applicable: ${notApplicable.join(', ')}`);
  for (const { report, foundAfter } of counterexamples) {
    say('');
    say(emphasised(report.text));
    say(`found after ${foundAfter} scenarios`);
  }
}
