/** `sept trace FILE...`: judges a kernel's TDP MMU, as ftrace recorded it, by the K rules. */
import { Command, Option } from 'commander';
import { NO_MONITOR } from '../../properties/traces/blind-spots.ts';
import { judgeTraceFile } from '../../properties/traces/files.ts';
import { KERNEL_NAMES, type KernelName } from '../../properties/traces/kernels/names.ts';
import { TDX_TRACE_RULE_IDS, TRACE_RULE_IDS } from '../../properties/traces/rules/index.ts';
import { TraceSummary } from '../../properties/traces/summary.ts';
import type { TraceOptions } from '../../properties/traces/verdict.ts';
import { EXIT_CLEAN, EXIT_FINDINGS, EXIT_NOT_JUDGED, UsageError } from '../errors.ts';
import { formatOf, formatOption, formatted, type FormatOptions } from '../formats/index.ts';
import {
  jsonOption,
  limitOption,
  propertyOption,
  ruleOption,
  type SharedOptions,
} from '../options.ts';
import { print, printJson, Progress } from '../output.ts';
import { idIn } from '../rule-names.ts';
import { LiveReport, printSummary, suitesOf } from '../trace-report.ts';

/** Default of --limit, and its default with --json. */
const SHOWN = 10;
const LISTED = 1000;
const MS = 1000;

interface Options extends Pick<SharedOptions, 'limit' | 'rules'>, FormatOptions {
  readonly vm?: string;
  readonly kernel?: KernelName;
  readonly merge?: boolean;
}

const STANDARD_INPUT = '-';

/** The command. It calls `exit` with the exit status. */
export const traceCommand = (exit: (code: number) => void): Command => {
  const command = new Command('trace');
  return command
    .description("judge a kernel's TDP MMU, as ftrace recorded it, by the K rules")
    .argument(
      '<file...>',
      'traces of tracefs, trace-cmd report or perf script, plain or gzipped; - is standard input',
    )
    .addOption(jsonOption())
    .addOption(formatOption())
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
      ).choices(KERNEL_NAMES),
    )
    .option(
      '--merge',
      'the files are parts of one capture, as per_cpu/cpuN/trace: merge them by time',
    )
    .addHelpText(
      'after',
      `
Each file is one trace, unless --merge is given. Files of trace-cmd and perf are printed by that
tool, if it is installed. A rule whose events a trace lacks is reported as not judged.
\`cat trace_pipe | sept trace -\` prints violations as they happen, and the verdict after Ctrl-C.
Exit code: 0 no rule is violated, 1 a rule is violated, 2 unusable input, 3 no rule was judged.`,
    )
    .action(async (files: string[], options: Options) => {
      const format = formatOf(options);
      const listed = format === 'json' && command.getOptionValueSource('limit') === 'default';
      const judged = await judgeAll(files, listed ? { ...options, limit: LISTED } : options);
      if (format === 'json') printJson(judged.asJson());
      else if (format === 'text') printSummary(judged, options.limit);
      else print(formatted(format, suitesOf(judged)));
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

/** Captures that the files are: one each, or one in all. */
function capturesOf(files: readonly string[], merge: boolean): readonly (readonly string[])[] {
  return merge ? [files] : files.map((file) => [file]);
}

async function judgeAll(
  files: readonly string[],
  { rules, vm, kernel, limit, merge = false, ...format }: Options,
): Promise<TraceSummary> {
  const options: TraceOptions = {
    limit,
    ...(rules && { rules: idsOf(rules) }),
    ...(vm !== undefined && { vm }),
    ...(kernel && { kernel }),
  };
  const judged = new TraceSummary();
  const progress = new Progress();
  const interrupted = new AbortController();
  const onInterrupt = (): void => interrupted.abort();
  // the second one ends the process
  process.once('SIGINT', onInterrupt);
  try {
    for (const capture of capturesOf(files, merge)) {
      if (interrupted.signal.aborted) break;
      const name = capture.join(' ');
      const start = performance.now();
      const rate = (events: number): number =>
        Math.round((events * MS) / Math.max(performance.now() - start, 1));
      const isLive = formatOf(format) === 'text' && name === STANDARD_INPUT;
      const live = isLive ? new LiveReport(progress) : null;
      // oxlint-disable-next-line no-await-in-loop -- one trace at a time is held in memory
      const verdict = await judgeTraceFile(
        capture,
        live === null ? options : { ...options, onViolation: (found) => live.add(found) },
        ({ events, violated }) =>
          progress.show(
            () => `${name}: ${events} events, ${rate(events)} a second, ${violated} violations`,
          ),
        interrupted.signal,
      );
      judged.add(name, verdict, performance.now() - start);
    }
  } finally {
    progress.clear();
    process.off('SIGINT', onInterrupt);
  }
  checkParts(judged);
  return judged;
}

/**
 * Checks that several traces are not parts of one capture: of one CPU each, at the same time.
 *
 * @throws UsageError if they are
 */
function checkParts({ traces }: TraceSummary): void {
  const parts = traces.map(({ verdict }) => verdict.reading);
  const cpus = new Set(parts.map(({ cpu }) => cpu));
  const [from, to] = [0, 1].map((end) => parts.map(({ times }) => times?.[end] ?? Number.NaN));
  if (
    parts.length < 2 ||
    cpus.has(null) ||
    cpus.size < parts.length ||
    !(Math.max(...(from ?? [])) < Math.min(...(to ?? [])))
  )
    return;
  throw new UsageError(
    'each file has the events of another CPU, at the same time: judge them as one capture, ' +
      'with --merge',
  );
}
