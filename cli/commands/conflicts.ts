/**
 * `sept conflicts FILE...`: sets up recorded pairs of calls again, one suspended inside the other,
 * and shows where the specification answers differently.
 */
import { Command } from 'commander';
import {
  judgeFile,
  type CellDifference,
  type Judgement,
} from '../../properties/module/recordings/conflicts/conflicts.ts';
import { EXIT_CLEAN, EXIT_FINDINGS } from '../errors.ts';
import { jsonOption, limitOption, type Knobs } from '../options.ts';
import { print, printJson, Progress, table } from '../output.ts';

const SHOWN = 10;

type Options = Pick<Knobs, 'json' | 'limit'>;

/** The command; it answers with the exit code. */
export const conflictsCommand = (exit: (code: number) => void): Command =>
  new Command('conflicts')
    .description(
      'run recorded pairs of calls, one suspended while the other runs, on the specification',
    )
    .argument(
      '<file...>',
      'conflicts, lifecycle-conflicts, stepwise or commit-order recordings, plain or gzipped',
    )
    .addOption(jsonOption())
    .addOption(limitOption('differences', SHOWN))
    .addHelpText(
      'after',
      `
A cell counts as differing once, however many of its fields differ; one that cannot be set up differs, too.
The recordings are of module 1.5.01, and are run on that version.
Exit code: 0 no difference, 1 differences, 2 unusable input.`,
    )
    .action(async (files: string[], options: Options) => {
      const judgement = await judgeAll(files, options.limit);
      if (options.json === true) printJson(judgement);
      else printJudgement(judgement, options.limit);
      exit(judgement.differing === 0 ? EXIT_CLEAN : EXIT_FINDINGS);
    });

async function judgeAll(files: readonly string[], limit: number): Promise<Judgement> {
  const progress = new Progress();
  let sum: Judgement = { cells: 0, differing: 0, differences: [] };
  try {
    for (const file of files) {
      progress.show(`${file}: after ${countsOf(sum)}`);
      // oxlint-disable-next-line no-await-in-loop -- one file at a time is held in memory
      const { cells, differing, differences } = await judgeFile(
        file,
        limit - sum.differences.length,
      );
      sum = {
        cells: sum.cells + cells,
        differing: sum.differing + differing,
        differences: [...sum.differences, ...differences],
      };
    }
  } finally {
    progress.clear();
  }
  return sum;
}

const countsOf = ({ cells, differing }: Judgement): string =>
  `${cells} cells, ${differing} differing`;

function printJudgement(judgement: Judgement, limit: number): void {
  print(countsOf(judgement));
  const { differences } = judgement;
  if (differences.length === 0) return;
  print('');
  print(table(['where', 'pair', 'field', 'recorded', 'specified'], differences.map(rowOf)));
  if (differences.length === limit)
    print(`The first ${limit} differing fields; --limit shows more.`);
}

const rowOf = ({ where, cell, field, recorded, ours }: CellDifference): string[] => [
  where,
  cell,
  field,
  recorded,
  ours,
];
