/**
 * KTAP version 1, which the kernel's own tests print and its tools read. Source:
 * Documentation/dev-tools/ktap.rst.
 */
import { countOf, type Outcome, type Suite } from './outcome.ts';

/** Text that cannot be taken for a line or a directive of KTAP. */
const plain = (text: string): string => text.replaceAll(/\s*\n\s*/gu, ' ').replaceAll('#', '');

/** Suites as KTAP: one flat list of results where there is one suite, else one nested list each. */
export function ktap(suites: readonly Suite[]): string {
  const [only, ...others] = suites;
  if (only !== undefined && others.length === 0)
    return ['KTAP version 1', ...linesOf(only)].join('\n');
  return [
    'KTAP version 1',
    `1..${suites.length}`,
    ...suites.flatMap((suite, i) => [
      ...['KTAP version 1', ...linesOf(suite)].map((line) => `  ${line}`),
      `${countOf(suite, 'failed') > 0 ? 'not ok' : 'ok'} ${i + 1} ${plain(suite.title)}`,
    ]),
  ].join('\n');
}

const TOTALS = [
  ['pass', 'passed'],
  ['fail', 'failed'],
  ['skip', 'skipped'],
] as const;

const linesOf = (suite: Suite): string[] => [
  `# ${plain(suite.title)}`,
  ...suite.notes.map((note) => `# ${plain(note)}`),
  `1..${suite.outcomes.length}`,
  ...suite.outcomes.flatMap((outcome, i) => [
    ...outcome.details.map((detail) => `# ${detail}`.trimEnd()),
    resultOf(outcome, i + 1),
  ]),
  `# ${TOTALS.map(([name, ending]) => `${name}:${countOf(suite, ending)}`).join(' ')}`,
];

function resultOf({ name, ending, note }: Outcome, number: number): string {
  if (ending === 'skipped') return `ok ${number} ${name} # SKIP ${plain(note)}`;
  return ending === 'passed' ? `ok ${number} ${name}` : `not ok ${number} ${name} # ${plain(note)}`;
}
