/**
 * `sept question`: asks the policies of the mailing list's question about a branch of page tables
 * that has tables in it, and prints what the module answers.
 */
import { Command } from 'commander';
import { DEFAULT_TREE, treeSuffix } from '../../impl/vm/size.ts';
import { handleOf } from '../../properties/checker/module-guard.ts';
import { askAboutBranch, type BranchAnswer } from '../../properties/checker/surveys/branches.ts';
import { EXIT_CLEAN, EXIT_FINDINGS } from '../errors.ts';
import { moduleNamed } from '../module-names.ts';
import {
  chosenTree,
  fanoutOption,
  jsonOption,
  levelsOption,
  moduleOption,
  runsOption,
  type SharedOptions,
} from '../options.ts';
import { print, printJson } from '../output.ts';

type Options = Pick<SharedOptions, 'json' | 'module' | 'levels' | 'fanout' | 'runs'>;

const DEFAULT_RUNS = 1000;

/** The command; it answers with the exit code. */
export const questionCommand = (exit: (code: number) => void): Command =>
  new Command('question')
    .description("ask the question's policies about a branch that has tables in it")
    .addOption(jsonOption())
    .addOption(moduleOption())
    .addOption(levelsOption())
    .addOption(fanoutOption())
    .addOption(runsOption())
    .addHelpText(
      'after',
      `
Each scenario removes the table of an entry at 1G or above, as in 'v0: read 0 | h0: remove-table 0@1G'.
Exit code: 0 every policy breaks a rule, or breaks none, as it declares; 1 one does not; 2 unusable input.`,
    )
    .action(async (given: Options) => {
      const module = await moduleNamed(given.module);
      const tree = chosenTree(given) ?? DEFAULT_TREE;
      const answers = askAboutBranch({ module, tree, seeds: 1, runs: given.runs ?? DEFAULT_RUNS });
      if (given.json === true) printJson({ answers });
      else {
        print(`a branch with tables in it, module ${handleOf(module)}${treeSuffix(tree)}`);
        for (const answer of answers) print(described(answer, handleOf(module)));
      }
      exit(answers.every(({ isExpected }) => isExpected) ? EXIT_CLEAN : EXIT_FINDINGS);
    });

/** The policy with the answer, and the command that shows it. */
const described = ({ policy, what, scenarios, found }: BranchAnswer, module: string): string =>
  `\n${policy}: ${what}\n    ` +
  (found === null
    ? `no rule is broken in ${scenarios} scenarios`
    : `${found.seen} after ${scenarios} scenarios, ${found.rows} rows\n` +
      `    sept show ${policy} --module ${module} '${found.scenario}'`);
