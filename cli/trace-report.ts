/** Reports of judged traces: while they are judged, and at the end. */
import { wrap } from '../properties/checker/reports/report.ts';
import { notesOf } from '../properties/traces/notes.ts';
import type { FiledGroup, TraceSummary } from '../properties/traces/summary.ts';
import { shapeOf } from '../properties/traces/tally.ts';
import type { RuleCount, TraceVerdict, TraceViolation } from '../properties/traces/verdict.ts';
import type { Ending, Suite } from './formats/outcome.ts';
import { emphasised, print, table, type Progress } from './output.ts';

/** Versions that the traced kernel may be. */
const versionsOf = ({ kernels }: TraceVerdict): string =>
  kernels.length === 0 ? 'of unknown version' : kernels.join(' or ');

/** Prints the notes and the table of a summary, and the first `limit` groups of violations. */
export function printSummary(judged: TraceSummary, limit: number): void {
  for (const { file, verdict } of judged.traces) {
    print(
      `${file}: Linux ${versionsOf(verdict)}, ${verdict.events} events, ` +
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
  printViolation(first, first.file);
  if (count > 1) print(`  and ${count - 1} more like this, the last at line ${lastLine}`);
}

const printViolation = (v: TraceViolation, where: string): void =>
  print(emphasised(textOf(v, where).join('\n')));

function textOf(v: TraceViolation, where: string): string[] {
  const lineOf = (line: number): string => String(line).padStart(String(v.line).length);
  const indent = ' '.repeat(lineOf(v.line).length + 4);
  return [
    '',
    ...wrap(`${v.rule}: ${v.statement}`, ''),
    where,
    ...v.causes.flatMap(({ line, what }) => wrap(`  ${lineOf(line)}  ${what}`, indent)),
    ...wrap(`! ${v.line}  ${v.task}: ${v.seen}`, indent),
    `${indent}${v.event}`,
  ];
}

/** The outcome of each rule in each trace. */
export const suitesOf = ({ traces }: TraceSummary): Suite[] =>
  traces.map(({ file, verdict }) => ({
    title: `sept trace ${file}`,
    notes: [`Linux ${versionsOf(verdict)}, ${verdict.events} events`, ...notesOf(verdict)],
    outcomes: Object.entries(verdict.rules).map(([name, count]) => ({
      name,
      ending: endingOf(count),
      note: count.violated > 0 ? `violations: ${count.violated}` : reasonsOf(count),
      details: verdict.groups
        .filter(({ rule }) => rule === name)
        .flatMap(({ first }) => textOf(first, file).slice(1)),
    })),
  }));

function endingOf({ violated, exercised }: RuleCount): Ending {
  if (violated > 0) return 'failed';
  return exercised > 0 ? 'passed' : 'skipped';
}

const reasonsOf = ({ notJudged }: RuleCount): string => Object.keys(notJudged).join('; ');

/**
 * Prints violations as they happen: the first of each kind in full, and at the tenth, the hundredth
 * and so on how many there are.
 */
export class LiveReport {
  private readonly counts = new Map<string, number>();
  private readonly progress: Progress;
  private total = 0;

  constructor(progress: Progress) {
    this.progress = progress;
  }

  add(violation: TraceViolation): void {
    const { rule, line, seen } = violation;
    const kind = `${rule}: ${shapeOf(seen)}`;
    const count = (this.counts.get(kind) ?? 0) + 1;
    this.counts.set(kind, count);
    this.total++;
    if (!/^10*$/.test(String(count))) return;
    this.progress.clear();
    if (count > 1)
      print(`${rule}, line ${line}: ${count} like this so far, of ${this.total} in all`);
    else printViolation(violation, `violation ${this.total}`);
  }
}
