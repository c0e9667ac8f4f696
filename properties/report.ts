/**
 * A failing policy's report: which rule, what it says and where it comes from; a timeline with a column an actor and a
 * row a step, only rows that matter; what was expected and seen; and the text that replays it. At most 100 columns.
 */
import type { RuleText } from '../spec/machine/rule.ts';
import type { History } from './history.ts';
import { contextSwitches, rowsThatMatter } from './slice.ts';
import { formatHistory } from './text.ts';
import type { Row, Timeline } from './timeline.ts';

export interface Report {
  readonly rule: RuleText;
  readonly rows: readonly Row[];
  readonly switches: number;
  /** The whole report, lines of at most {@link COLUMNS} characters. */
  readonly text: string;
}

export const COLUMNS = 100;
const MARGIN = 4;

/** `command` replays the history, e.g. `sept show mirror-naive --module 1.5 '…'`. */
export function report(rule: RuleText, timeline: Timeline, history: History, command: string): Report {
  const rows = rowsThatMatter(timeline);
  const switches = contextSwitches(rows);
  const { violation } = timeline;
  const lines = [
    ...wrap(`${rule.id}: ${rule.statement}`, ''),
    ...wrap(`source: ${rule.source}`, '     '),
    '',
    ...table(rows, timeline.actors),
    '',
    ...wrap(`expected: ${violation?.expected ?? ''}`, '     '),
    ...wrap(`seen:     ${violation?.seen ?? ''}`, '     '),
    ...(timeline.atRest ? ['     (found when every actor had ended)'] : []),
    '',
    ...wrap(`history: ${formatHistory(history)}`, '     '),
    `replay: ${command}`,
  ];
  return { rule, rows, switches, text: lines.join('\n') };
}

/** The timeline: a column an actor; a row a step; the violating row is marked with `!`. */
function table(rows: readonly Row[], names: readonly string[]): string[] {
  const actors = [...new Set(rows.map((row) => row.actor))].toSorted((a, b) => a - b);
  const width = Math.floor((COLUMNS - MARGIN) / Math.max(1, actors.length)) - 1;
  const lines = [' '.repeat(MARGIN) + actors.map((a) => (names[a] ?? '').padEnd(width)).join(' ').trimEnd()];
  let previous: Row | undefined;
  for (const [number, row] of rows.entries()) {
    const column = actors.indexOf(row.actor);
    const indent = ' '.repeat(column * (width + 1));
    if (row.actor !== previous?.actor || row.operation !== previous.operation) {
      lines.push(' '.repeat(MARGIN) + indent + clip(`[${row.operation}]`, width));
    }
    const mark = row.violating ? '!' : ' ';
    lines.push(`${mark}${String(number + 1).padStart(2)} ${indent}${clip(row.text, width)}`);
    if (row.change !== '') lines.push(' '.repeat(MARGIN) + indent + clip(`  ${row.change}`, width));
    previous = row;
  }
  return lines.map((line) => line.trimEnd());
}

const clip = (text: string, width: number): string => (text.length <= width ? text : `${text.slice(0, width - 1)}~`);

/** Breaks a paragraph at spaces; words longer than a line stay whole. */
function wrap(text: string, indent: string): string[] {
  const lines: string[] = [];
  let line = '';
  for (const word of text.split(' ')) {
    if (line !== '' && line.length + 1 + word.length > COLUMNS) {
      lines.push(line);
      line = `${indent}${word}`;
    } else line = line === '' ? word : `${line} ${word}`;
  }
  return [...lines, line];
}
