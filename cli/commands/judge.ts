/** `sept judge FILE...`: judges recorded concurrent histories of the TDX module. */
import { Command } from 'commander';
import type { ParsedLine } from '../../properties/files/lines.ts';
import {
  HistoryJudge,
  judgeHistories,
  type JudgedHistory,
} from '../../properties/module/recordings/concurrent/judge.ts';
import { EXIT_CLEAN, EXIT_FINDINGS } from '../errors.ts';
import { moduleOrNone } from '../module-names.ts';
import { jsonOption, limitOption, recordedModuleOption, type SharedOptions } from '../options.ts';
import { print, printJson, Progress } from '../output.ts';

const SHOWN = 10;

type Options = Pick<SharedOptions, 'json' | 'limit'> & { readonly module?: string };

/** The command. It calls `exit` with the exit status. */
export const judgeCommand = (exit: (code: number) => void): Command =>
  new Command('judge')
    .description(
      'judge recorded concurrent histories of the TDX module: an order of calls must explain each',
    )
    .argument('<file...>', 'concurrent recordings, JSON Lines, plain or gzipped')
    .addOption(jsonOption())
    .addOption(limitOption('histories', SHOWN))
    .addOption(recordedModuleOption())
    .addHelpText(
      'after',
      `
A history is explained if there is an order of its calls that respects real time and in which the
specification gives every result and the final state, and if for every refusal for a lock another
call can have held that lock. A history that shows a known finding of the module is unexplained; the
reason names the finding.
Exit code: 0 all explained, 1 one or more not explained or not decided, 2 unusable input.`,
    )
    .action(async (files: string[], { json, limit, module }: Options) => {
      const judged = await judgeAll(files, new HistoryJudge(await moduleOrNone(module)));
      if (json === true)
        printJson({ ...countsOf(judged.results), ...pace(judged.times), results: judged.results });
      else printResults(judged, limit);
      exit(
        judged.results.every(({ verdict }) => verdict === 'explained') ? EXIT_CLEAN : EXIT_FINDINGS,
      );
    });

interface Judged {
  readonly results: readonly JudgedHistory[];
  /** Milliseconds for each history, from the parsed line to the verdict. */
  readonly times: readonly number[];
}

async function judgeAll(files: readonly string[], judge: HistoryJudge): Promise<Judged> {
  const results: JudgedHistory[] = [];
  const times: number[] = [];
  const progress = new Progress();
  const timed = (line: ParsedLine): JudgedHistory => {
    const start = performance.now();
    const judged = judge.line(line);
    times.push(performance.now() - start);
    return judged;
  };
  try {
    for (const file of files) {
      for await (const judged of judgeHistories(file, timed)) {
        results.push(judged);
        progress.show(() => `${file}: ${textOf(results)}`);
      }
    }
  } finally {
    progress.clear();
  }
  return { results, times };
}

function countsOf(
  results: readonly JudgedHistory[],
): Readonly<Record<'histories' | JudgedHistory['verdict'], number>> {
  const count = (verdict: JudgedHistory['verdict']): number =>
    results.filter((r) => r.verdict === verdict).length;
  return {
    histories: results.length,
    explained: count('explained'),
    unexplained: count('unexplained'),
    unknown: count('unknown'),
  };
}

const HALF = 0.5;
const NINE_OF_TEN = 0.9;

/** The median, the 90th percentile and the maximum of the times. */
function pace(
  times: readonly number[],
): Readonly<Record<'medianMs' | 'ninetiethMs' | 'longestMs', number>> {
  const sorted = times.toSorted((a, b) => a - b);
  const at = (part: number): number =>
    Number((sorted[Math.floor((sorted.length - 1) * part)] ?? 0).toFixed(2));
  return { medianMs: at(HALF), ninetiethMs: at(NINE_OF_TEN), longestMs: at(1) };
}

function textOf(results: readonly JudgedHistory[]): string {
  const { histories, explained, unexplained, unknown } = countsOf(results);
  const verdicts = `${explained} explained, ${unexplained} unexplained, ${unknown} unknown`;
  return `${histories} histories, ${verdicts}`;
}

function printResults({ results, times }: Judged, limit: number): void {
  const { medianMs, ninetiethMs, longestMs } = pace(times);
  print(
    `${textOf(results)}; ` +
      `ms a history: median ${medianMs}, 90th percentile ${ninetiethMs}, maximum ${longestMs}`,
  );
  const others = results.filter(({ verdict }) => verdict !== 'explained');
  for (const { id, verdict, why, prefix } of others.slice(0, limit)) {
    print(`${id}: ${verdict}`);
    print(`  ${why ?? ''}`);
    if (prefix !== null && prefix.length > 0) print(`  shown by events ${prefix.join(' ')}`);
  }
  if (others.length > limit) print(`The first ${limit} of ${others.length}; --limit shows more.`);
}
