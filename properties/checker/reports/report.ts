/**
 * The report of a violation: the rule with its source; a timeline with a column for each actor and
 * a row for each visible action, only rows that matter; what was expected and seen, with the rule's
 * hint; and the command that replays it. At most 100 columns wide.
 */
import type { RuleText } from '../../../spec/machine/rule.ts';
import type { Scenario } from '../scenarios/scenario.ts';
import { formatScenario } from '../scenarios/text.ts';
import type { Row } from './row.ts';
import { contextSwitches, rowsThatMatter } from './slice.ts';
import { DESTROYER, type Timeline } from './timeline.ts';

/** A counterexample as text. */
export interface Report {
  readonly rule: RuleText;
  readonly rows: readonly Row[];
  /** Number of rows whose actor is another than that of the row before. */
  readonly switches: number;
  /** The whole report, lines of at most {@link COLUMNS} characters. */
  readonly text: string;
}

export const COLUMNS = 100;
const MARGIN = 4;
const INDENT = '     ';

const EMPTY_TIMELINE = '    (no SEAMCALL, no change of the mirror, no access by the guest)';
const AT_REST = '     (found at the end: all actors have finished, are blocked or loop)';

/** Reports the violation of `rule`. `command` replays the scenario: `sept show b-46 '…'`. */
export function report(
  rule: RuleText,
  timeline: Timeline,
  scenario: Scenario,
  command: string,
): Report {
  const rows = rowsThatMatter(timeline);
  const switches = contextSwitches(rows);
  const { violation } = timeline;
  const lines = [
    ...wrap(`${rule.id}: ${rule.statement}`, ''),
    ...wrap(`source: ${rule.source}`, INDENT),
    '',
    ...(rows.length === 0 ? [EMPTY_TIMELINE] : table(rows, timeline.actors)),
    '',
    ...wrap(`expected: ${violation?.expected ?? ''}`, INDENT),
    ...wrap(`seen:     ${violation?.seen ?? ''}`, INDENT),
    ...(rows.some((row) => row.violating) ? [] : [AT_REST]),
    ...(rule.hint === undefined ? [] : wrap(`hint: ${rule.hint}`, INDENT)),
    '',
    ...wrap(`scenario: ${formatScenario(scenario)}`, INDENT),
    ...wrap(`replay: ${command}`, INDENT),
  ];
  return { rule, rows, switches, text: lines.join('\n') };
}

/** The whole timeline of a run that broke no rule, without the teardown of the VM. */
export function story({ rows, actors }: Timeline): string {
  const shown = rows.filter((row) => row.actor !== DESTROYER);
  return (shown.length === 0 ? [EMPTY_TIMELINE] : table(shown, actors)).join('\n');
}

/** The timeline: a column for each actor; rows are numbered, and `!` marks the violating one. */
function table(rows: readonly Row[], names: readonly string[]): string[] {
  const actors = [...new Set(rows.map((row) => row.actor))].toSorted((a, b) => a - b);
  const width = Math.floor((COLUMNS - MARGIN) / Math.max(1, actors.length)) - 1;
  const lines = [' '.repeat(MARGIN) + actors.map((a) => (names[a] ?? '').padEnd(width)).join(' ')];
  let previous: Row | undefined;
  for (const [number, row] of rows.entries()) {
    const indent = ' '.repeat(actors.indexOf(row.actor) * (width + 1));
    const isNew = row.actor !== previous?.actor || row.operation !== previous.operation;
    if (isNew) lines.push(' '.repeat(MARGIN) + indent + `[${row.operation}]`.slice(0, width));
    for (const [i, line] of linesOf(row, width).entries()) {
      const head =
        i === 0
          ? `${row.violating ? '!' : ' '}${String(number + 1).padStart(2)} `
          : ' '.repeat(MARGIN);
      lines.push(head + indent + line);
    }
    previous = row;
  }
  return lines.map((line) => line.trimEnd());
}

/** The action of a row, then what it changed, indented. */
function linesOf({ text, sept, mirror, remark, subject }: Row, width: number): string[] {
  const details = [
    ...(sept === null ? [] : [`S-EPT ${sept.before} -> ${sept.after}`]),
    ...(mirror === null ? [] : [`mirror ${mirror.before} -> ${mirror.after}`]),
    ...(remark === '' ? [] : [remark]),
  ];
  const action = text === '' ? `mirror entry ${subject}` : text;
  return [
    ...wrap(action, '  ', width),
    ...details.flatMap((detail) => wrap(`  ${detail}`, '    ', width)),
  ];
}

/** Breaks a paragraph at spaces and after bars. Only a word longer than a line is broken itself. */
export function wrap(text: string, indent: string, width = COLUMNS): string[] {
  const lines: string[] = [];
  let rest = text;
  while (rest.length > width) {
    const space = Math.max(rest.lastIndexOf(' ', width), rest.lastIndexOf('|', width - 1) + 1);
    const at = space > indent.length ? space : width;
    lines.push(rest.slice(0, at));
    rest = indent + rest.slice(at).trimStart();
  }
  return [...lines, rest];
}
