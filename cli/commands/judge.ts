/**
 * `sept judge FILE...`: judges recorded concurrent histories of the TDX module.
 */
import { Command } from 'commander';
import { HistoryJudge, judgeHistories, type JudgedHistory } from '../../properties/recordings/concurrent/judge.ts';
import { EXIT_CLEAN, EXIT_FINDINGS } from '../errors.ts';
import { jsonOption, limitOption, moduleOption, type Knobs } from '../knobs.ts';
import { print, printJson, Progress } from '../output.ts';

const SHOWN = 10;

type Options = Pick<Knobs, 'json' | 'limit' | 'module'>;

/** The command; it answers with the exit code. */
export const judgeCommand = (exit: (code: number) => void): Command =>
  new Command('judge')
    .description('judge recorded concurrent histories of the TDX module: does an order of the calls explain each')
    .argument('<file...>', 'concurrent recordings, JSON Lines, plain or gzipped')
    .addOption(jsonOption())
    .addOption(limitOption('histories', SHOWN))
    .addOption(moduleOption())
    .addHelpText('after', `
A history is explained when there is an order of its calls, respecting real time, in which every result and the final
state are the specification's, and every refusal for a lock has a call at the same time that could have held it. One
that shows a known finding of the module counts as unexplained and names it.
Exit code: 0 all explained, 1 one or more not explained or not decided, 2 unusable input.`)
    .action(async (files: string[], { json, limit, module }: Options) => {
      const results = await judgeAll(files, new HistoryJudge(module));
      if (json === true) printJson(summaryOf(results));
      else printResults(results, limit);
      exit(results.every(({ verdict }) => verdict === 'explained') ? EXIT_CLEAN : EXIT_FINDINGS);
    });

async function judgeAll(files: readonly string[], judge: HistoryJudge): Promise<JudgedHistory[]> {
  const results: JudgedHistory[] = [];
  const progress = new Progress();
  try {
    for (const file of files) {
      for await (const judged of judgeHistories(file, judge)) {
        results.push(judged);
        progress.show(() => `${file}: ${countsOf(results)}`);
      }
    }
  } finally {
    progress.clear();
  }
  return results;
}

function summaryOf(results: readonly JudgedHistory[]): Readonly<Record<string, unknown>> {
  const count = (verdict: JudgedHistory['verdict']): number => results.filter((r) => r.verdict === verdict).length;
  return {
    histories: results.length, explained: count('explained'), unexplained: count('unexplained'), unknown: count('unknown'),
    results,
  };
}

function countsOf(results: readonly JudgedHistory[]): string {
  const { histories, explained, unexplained, unknown } = summaryOf(results);
  return `${histories} histories, ${explained} explained, ${unexplained} unexplained, ${unknown} unknown`;
}

function printResults(results: readonly JudgedHistory[], limit: number): void {
  print(countsOf(results));
  const others = results.filter(({ verdict }) => verdict !== 'explained');
  for (const { id, verdict, why, prefix } of others.slice(0, limit)) {
    print(`${id}: ${verdict}`);
    print(`  ${why ?? ''}`);
    if (prefix !== null && prefix.length > 0) print(`  shown by events ${prefix.join(' ')}`);
  }
  if (others.length > limit) print(`The first ${limit} of ${others.length}; --limit shows more.`);
}
