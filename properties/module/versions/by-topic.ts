/** The part of docs/module-versions.md about the fields of a version. */
import type { VersionData } from '../../../spec/tdx/versions/index.ts';
import { encodingRows } from './encodings.ts';
import { TOPICS, type FieldText } from './fields.ts';
import { Columns, isSame, table, type Texts } from './markdown.ts';

const HEAD = `## By topic

The fields of a version (\`spec/tdx/version.ts\`). \`=\`: as in the version before.
`;

export const topicsPart = (
  versions: readonly VersionData[],
  fields: readonly FieldText[],
): string[] => [HEAD, ...TOPICS.flatMap((topic) => section(topic, versions, fields))];

/** A topic: a table of the fields that differ, a line of the others. */
function section(
  topic: string,
  versions: readonly VersionData[],
  fields: readonly FieldText[],
): string[] {
  const own = fields.filter((one) => one.topic === topic);
  const differing = own.filter(({ values }) => !isSame(values));
  const folded = own
    .filter(({ values }) => isSame(values))
    .map(({ field, meaning, values }) => `\`${field}\` (${meaning}) is ${values[0]}`);
  const rows = differing.map(({ field, meaning, values }) => [
    `\`${field}\``,
    meaning,
    ...asBefore(values),
  ]);
  const heads = ['field', 'meaning', ...versions.map(({ name }) => name)];
  return [
    `### ${topic}`,
    '',
    ...(rows.length === 0 ? [] : table(heads, rows)),
    ...(folded.length === 0 ? [] : [`The same in all: ${folded.join('; ')}.`, '']),
    ...(topic === 'Entries' ? encodings(versions) : []),
  ];
}

const asBefore = (values: Texts): Texts =>
  values.map((value, i) => (i > 0 && value === values[i - 1] ? '=' : value));

/** The states of an entry: the bits that are set, the page aside, and the code in RDX. */
function encodings(versions: readonly VersionData[]): string[] {
  const rows = encodingRows(versions);
  const names = versions.map(({ name }) => name);
  const columns = new Columns(
    names,
    rows.map(({ values }) => values),
  );
  return [
    'Bits of an entry that are set, the page aside, and the code of the state in RDX bits 15:8:',
    '',
    ...table(
      ['state', ...columns.heads],
      rows.map(({ state, values }) => [state, ...columns.of(values)]),
    ),
  ];
}
