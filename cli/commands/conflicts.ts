/**
 * `sept conflicts FILE...`: runs recorded pairs of calls on the specification, one suspended while
 * the other runs, and shows the fields that differ.
 */
import { Command } from 'commander';
import {
  ConflictsJudge,
  type CellDifference,
  type Judgement,
} from '../../properties/module/recordings/conflicts/conflicts.ts';
import { readCells } from '../../properties/module/recordings/conflicts/format.ts';
import { EXIT_CLEAN, EXIT_FINDINGS } from '../errors.ts';
import { jsonOption, limitOption, type SharedOptions } from '../options.ts';
import { print, printJson, Progress, table } from '../output.ts';

const SHOWN = 10;

type Options = Pick<SharedOptions, 'json' | 'limit'>;

/** The command. It calls `exit` with the exit status. */
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
A cell counts as differing once, however many of its fields differ. A cell that cannot be set up
differs.
The recordings are of module 1.5.01; version 1.5 of the specification runs them.
Exit code: 0 no difference, 1 differences, 2 unusable input.`,
    )
    .action(async (files: string[], options: Options) => {
      const judgement = await judgeAll(files, options.limit);
      if (options.json === true) printJson(judgement);
      else printJudgement(judgement, options.limit);
      exit(judgement.differing === 0 ? EXIT_CLEAN : EXIT_FINDINGS);
    });

async function judgeAll(files: readonly string[], limit: number): Promise<Judgement> {
  const judge = new ConflictsJudge();
  const progress = new Progress();
  let sum: Judgement = { cells: 0, differing: 0, differences: [] };
  try {
    for (const file of files) {
      progress.show(`${file}: after ${countsOf(sum)}`);
      // oxlint-disable-next-line no-await-in-loop -- one file at a time is held in memory
      const read = await readCells(file);
      const { cells, differing, differences } = judge.judge(read, limit - sum.differences.length);
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
