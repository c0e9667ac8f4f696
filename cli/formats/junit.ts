/** JUnit's XML, as CI servers read it: a test suite for each subject, a test case for each rule. */
import { countOf, type Outcome, type Suite } from './outcome.ts';

const ENTITIES: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
};

/** Text in XML 1.0, which has no control characters but tab and newline. */
const xml = (text: string): string =>
  text
    // oxlint-disable-next-line no-control-regex -- these are what XML does not have
    .replaceAll(/[\u0000-\u0008\u000B-\u001F]/gu, '')
    .replaceAll(/[&<>"]/gu, (character) => ENTITIES[character] ?? character);

export const junit = (suites: readonly Suite[]): string =>
  [
    '<?xml version="1.0" encoding="UTF-8"?>',
    '<testsuites>',
    ...suites.flatMap(linesOf),
    '</testsuites>',
  ].join('\n');

const linesOf = (suite: Suite): string[] => [
  `  <testsuite name="${xml(suite.title)}" tests="${suite.outcomes.length}" ` +
    `failures="${countOf(suite, 'failed')}" skipped="${countOf(suite, 'skipped')}">`,
  ...suite.outcomes.flatMap((outcome) => caseOf(suite, outcome)),
  ...(suite.notes.length === 0
    ? []
    : [`    <system-out>${xml(suite.notes.join('\n'))}</system-out>`]),
  '  </testsuite>',
];

function caseOf({ title }: Suite, { name, ending, note, details }: Outcome): string[] {
  const head = `    <testcase classname="${xml(title)}" name="${xml(name)}"`;
  if (ending === 'passed') return [`${head}/>`];
  const result =
    ending === 'skipped'
      ? `<skipped message="${xml(note)}"/>`
      : `<failure message="${xml(note)}">${xml(details.join('\n'))}</failure>`;
  return [`${head}>`, `      ${result}`, '    </testcase>'];
}
