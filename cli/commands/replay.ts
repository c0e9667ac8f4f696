/**
 * `sept replay FILE...`: replays recordings of the TDX module on the specification and shows the
 * fields that differ.
 */
import { Command } from 'commander';
import { replayFile, type Difference } from '../../properties/module/recordings/replay/replay.ts';
import { SummaryBuilder, type Summary } from '../../properties/module/recordings/replay/summary.ts';
import { Universes } from '../../properties/module/recordings/universe/universe.ts';
import { EXIT_CLEAN, EXIT_FINDINGS } from '../errors.ts';
import { moduleOrNone } from '../module-names.ts';
import { jsonOption, limitOption, recordedModuleOption, type SharedOptions } from '../options.ts';
import { print, printJson, Progress, table } from '../output.ts';

const SHOWN = 10;

interface Options extends Pick<SharedOptions, 'json' | 'limit'> {
  readonly module?: string;
  readonly pairs?: boolean;
}

/** The command. It calls `exit` with the exit status. */
export const replayCommand = (exit: (code: number) => void): Command =>
  new Command('replay')
    .description(
      'replay sequential and life-cycle recordings of the TDX module on its specification',
    )
    .argument('<file...>', 'recordings, JSON Lines, plain or gzipped')
    .addOption(jsonOption())
    .addOption(limitOption('differences', SHOWN))
    .addOption(recordedModuleOption())
    .option('--pairs', 'list the recorded operations and statuses, with counts')
    .addHelpText(
      'after',
      `
A step counts as differing once, however many of its fields differ. A final dump that differs counts
as one more step.
Exit code: 0 no difference, 1 differences, 2 unusable input.`,
    )
    .action(async (files: string[], options: Options) => {
      const summary = await replayAll(files, options);
      if (options.json === true) printJson(summary);
      else printSummary(summary, options);
      exit(summary.differing === 0 ? EXIT_CLEAN : EXIT_FINDINGS);
    });

async function replayAll(files: readonly string[], { limit, module }: Options): Promise<Summary> {
  const builder = new SummaryBuilder(limit);
  const universes = new Universes(await moduleOrNone(module));
  const progress = new Progress();
  try {
    for (const file of files) {
      for await (const replayed of replayFile(file, universes)) {
        builder.add(replayed);
        progress.show(() => `${file}: ${countsOf(builder.summary)}`);
      }
    }
  } finally {
    progress.clear();
  }
  return builder.summary;
}

const countsOf = ({ scenarios, steps, differing }: Summary): string =>
  `${scenarios} scenarios, ${steps} steps, ${differing} differing`;

function printSummary(summary: Summary, { pairs, limit }: Options): void {
  print(countsOf(summary));
  if (summary.strays > 0)
    print(
      `${summary.strays} steps of vCPUs outside the guest: only the state after them was compared`,
    );
  if (pairs === true) {
    print('');
    print(
      table(
        ['operation', 'status', 'steps'],
        summary.pairs.map(({ op, status, count }) => [op, status, count]),
      ),
    );
  }
  if (summary.differences.length === 0) return;
  print('');
  print(
    table(
      ['scenario', 'step', 'operation', 'field', 'recorded', 'specified'],
      summary.differences.map(rowOf),
    ),
  );
  if (summary.differences.length === limit)
    print(`The first ${limit} differing fields; --limit shows more.`);
}

const rowOf = ({ scenario, step, op, field, recorded, ours }: Difference): string[] => [
  scenario,
  String(step),
  op,
  field,
  recorded,
  ours,
];
