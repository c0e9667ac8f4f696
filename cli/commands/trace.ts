/** `sept trace FILE...`: judges a kernel's TDP MMU, as ftrace recorded it, by the K rules. */
import { Command, Option } from 'commander';
import { wrap } from '../../properties/checker/reports/report.ts';
import { NO_MONITOR } from '../../properties/traces/blind-spots.ts';
import { judgeTraceFile } from '../../properties/traces/files.ts';
import { notesOf } from '../../properties/traces/notes.ts';
import { TDX_TRACE_RULE_IDS, TRACE_RULE_IDS } from '../../properties/traces/rules/index.ts';
import {
  TraceSummary,
  type FiledGroup,
  type FiledViolation,
} from '../../properties/traces/summary.ts';
import type { TraceOptions } from '../../properties/traces/verdict.ts';
import { LAYOUTS, type KernelVersion } from '../../spec/kvm/layouts/table.ts';
import { EXIT_CLEAN, EXIT_FINDINGS, EXIT_NOT_JUDGED, UsageError } from '../errors.ts';
import {
  jsonOption,
  limitOption,
  propertyOption,
  ruleOption,
  type SharedOptions,
} from '../options.ts';
import { emphasised, print, printJson, Progress, table } from '../output.ts';
import { idIn } from '../rule-names.ts';

/** Default of --limit, and its default with --json. */
const SHOWN = 10;
const LISTED = 1000;
const MS = 1000;

interface Options extends Pick<SharedOptions, 'json' | 'limit' | 'rules'> {
  readonly vm?: string;
  readonly kernel?: KernelVersion;
}

/** The command. It calls `exit` with the exit status. */
export const traceCommand = (exit: (code: number) => void): Command => {
  const command = new Command('trace');
  return command
    .description("judge a kernel's TDP MMU, as ftrace recorded it, by the K rules")
    .argument('<file...>', 'traces as text, plain or gzipped; - is standard input')
    .addOption(jsonOption())
    .addOption(limitOption('kinds of violations', SHOWN))
    .addOption(propertyOption('only these rules, e.g. K1,K20'))
    .addOption(ruleOption())
    .addOption(
      new Option(
        '--vm <address>',
        'only the VM whose struct kvm is at this address, e.g. 0xffff888103788000',
      ).argParser((text) => text.toLowerCase()),
    )
    .addOption(
      new Option(
        '--kernel <version>',
        'version of the traced kernel (default: as its probes show)',
      ).choices(Object.keys(LAYOUTS)),
    )
    .addHelpText(
      'after',
      `
Each file is one trace. A rule whose events a trace lacks is reported as not judged.
Exit code: 0 no rule is violated, 1 a rule is violated, 2 unusable input, 3 no rule was judged.`,
    )
    .action(async (files: string[], options: Options) => {
      const listed = options.json === true && command.getOptionValueSource('limit') === 'default';
      const judged = await judgeAll(files, listed ? { ...options, limit: LISTED } : options);
      if (options.json === true) printJson(judged.asJson());
      else printJudged(judged, options.limit);
      exit(statusOf(judged));
    });
};

function statusOf({ violated, isJudged }: TraceSummary): number {
  if (violated > 0) return EXIT_FINDINGS;
  return isJudged ? EXIT_CLEAN : EXIT_NOT_JUDGED;
}

/** Ids of the named rules. @throws UsageError if traces are not judged by one of them */
function idsOf(names: readonly string[]): readonly string[] {
  const known = [...TRACE_RULE_IDS, ...TDX_TRACE_RULE_IDS];
  return names.map((name) => {
    const id = idIn(known, name);
    if (id !== undefined) return id;
    const unseen = NO_MONITOR.find(({ rule }) => rule === name.toUpperCase());
    if (unseen !== undefined)
      throw new UsageError(`traces are not judged by ${unseen.rule}: ${unseen.why}`);
    throw new UsageError(`no rule ${name} for traces; there are ${known.join(', ')}`);
  });
}

async function judgeAll(
  files: readonly string[],
  { rules, vm, kernel, limit }: Options,
): Promise<TraceSummary> {
  const options: TraceOptions = {
    limit,
    ...(rules && { rules: idsOf(rules) }),
    ...(vm !== undefined && { vm }),
    ...(kernel && { kernel }),
  };
  const judged = new TraceSummary();
  const progress = new Progress();
  try {
    for (const file of files) {
      const start = performance.now();
      const rate = (events: number): number =>
        Math.round((events * MS) / Math.max(performance.now() - start, 1));
      // oxlint-disable-next-line no-await-in-loop -- one file at a time is held in memory
      const verdict = await judgeTraceFile(file, options, ({ events, violated }) =>
        progress.show(
          () => `${file}: ${events} events, ${rate(events)} a second, ${violated} violations`,
        ),
      );
      judged.add(file, verdict, performance.now() - start);
    }
  } finally {
    progress.clear();
  }
  return judged;
}

function printJudged(judged: TraceSummary, limit: number): void {
  for (const { file, verdict } of judged.traces) {
    print(
      `${file}: Linux ${verdict.kernel ?? 'of unknown version'}, ${verdict.events} events, ` +
        `${verdict.violated} violation${verdict.violated === 1 ? '' : 's'}`,
    );
    for (const note of notesOf(verdict)) print(note);
  }
  print('');
  print(table(['rule', 'exercised', 'violated', 'not judged'], judged.rows()));
  if (!judged.isJudged) print('\nNo rule was judged.');
  const { groups } = judged;
  const shown = groups.slice(0, limit);
  for (const group of shown) printGroup(group);
  if (shown.length < groups.length) {
    print(
      `\n${shown.length} of ${groups.length} kinds of violations are shown; --limit shows more.`,
    );
  }
}

/** Prints the first of several violations that differ in numbers, and how many follow. */
function printGroup({ first, count, lastLine }: FiledGroup): void {
  printViolation(first);
  if (count > 1) print(`  and ${count - 1} more like this, the last at line ${lastLine}`);
}

function printViolation(v: FiledViolation): void {
  const lineOf = (line: number): string => String(line).padStart(String(v.line).length);
  const indent = ' '.repeat(lineOf(v.line).length + 4);
  const report = [
    '',
    ...wrap(`${v.rule}: ${v.statement}`, ''),
    v.file,
    ...v.causes.flatMap(({ line, what }) => wrap(`  ${lineOf(line)}  ${what}`, indent)),
    ...wrap(`! ${v.line}  ${v.task}: ${v.seen}`, indent),
    `${indent}${v.event}`,
  ];
  print(emphasised(report.join('\n')));
}
