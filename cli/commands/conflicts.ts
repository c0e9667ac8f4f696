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
import { versionOf } from '../../properties/module/recordings/format/module-version.ts';
import { NEWEST_VERSION, type ModuleVersion } from '../../spec/tdx/versions/index.ts';
import { EXIT_CLEAN, EXIT_FINDINGS } from '../errors.ts';
import { moduleOrNone } from '../module-names.ts';
import { jsonOption, limitOption, recordedModuleOption, type SharedOptions } from '../options.ts';
import { print, printJson, Progress, table } from '../output.ts';

const SHOWN = 10;

type Options = Pick<SharedOptions, 'json' | 'limit'> & { readonly module?: string };

/** The command. It calls `exit` with the exit status. */
export const conflictsCommand = (exit: (code: number) => void): Command =>
  new Command('conflicts')
    .description(
      'run recorded pairs of calls, one suspended while the other runs, on the specification',
    )
    .argument(
      '<file...>',
      'conflicts, lifecycle-conflicts, stepwise, commit-order, locks recordings, plain or gzipped',
    )
    .addOption(jsonOption())
    .addOption(limitOption('differences', SHOWN))
    .addOption(recordedModuleOption())
    .addHelpText(
      'after',
      `
A cell counts as differing once, however many of its fields differ. A cell that cannot be set up
differs. What the specification has no counterpart of, such as times, is not compared: the output
names it.
A recording that is one object a line names no module: it is run as ${NEWEST_VERSION} unless --module
says otherwise, and the output says so.
Exit code: 0 no difference, 1 differences, 2 unusable input.`,
    )
    .action(async (files: string[], options: Options) => {
      const judgement = await judgeAll(files, options);
      if (options.json === true) printJson(judgement);
      else printJudgement(judgement, options.limit);
      exit(judgement.differing === 0 ? EXIT_CLEAN : EXIT_FINDINGS);
    });

interface Result extends Judgement {
  /** The files that name no module, so that the newest one is assumed. */
  readonly assumed: readonly string[];
}

async function judgeAll(files: readonly string[], { limit, module }: Options): Promise<Result> {
  const chosen = await moduleOrNone(module);
  const judges = new Map<ModuleVersion, ConflictsJudge>();
  const progress = new Progress();
  const assumed: string[] = [];
  let sum: Judgement = { cells: 0, differing: 0, notCompared: {}, differences: [] };
  try {
    for (const file of files) {
      progress.show(`${file}: after ${countsOf(sum)}`);
      // oxlint-disable-next-line no-await-in-loop -- one file at a time is held in memory
      const read = await readCells(file);
      const version = versionOf(read.module, chosen, file);
      if ((chosen ?? read.module) === undefined) assumed.push(file);
      const judge = judges.get(version) ?? new ConflictsJudge(version);
      judges.set(version, judge);
      const left = limit - sum.differences.length;
      const { cells, differing, notCompared, differences } = judge.judge(read.cells, left);
      sum = {
        cells: sum.cells + cells,
        differing: sum.differing + differing,
        notCompared: sumOf(sum.notCompared, notCompared),
        differences: [...sum.differences, ...differences],
      };
    }
  } finally {
    progress.clear();
  }
  return { ...sum, assumed };
}

type Counts = Judgement['notCompared'];

const sumOf = (a: Counts, b: Counts): Counts =>
  Object.fromEntries(
    Object.keys({ ...a, ...b }).map((what) => [what, (a[what] ?? 0) + (b[what] ?? 0)]),
  );

const countsOf = ({ cells, differing }: Judgement): string =>
  `${cells} cells, ${differing} differing`;

function printJudgement(judgement: Result, limit: number): void {
  print(countsOf(judgement));
  for (const file of judgement.assumed)
    print(`${file} names no module: run as ${NEWEST_VERSION}; --module runs it as another.`);
  for (const [what, cells] of Object.entries(judgement.notCompared))
    print(`Not compared in ${cells} cells: ${what}.`);
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
