/**
 * Reads pair recordings. `conflicts.json`, `lifecycle-conflicts.json` and lock tables are one
 * object with a list of cells; `stepwise.jsonl` has one object a line. So have commit-order
 * recordings (not shipped): a call that runs alone, with the order of its acquires, writes and
 * releases.
 */
import * as v from 'valibot';
import { InputError } from '../../../files/input.ts';
import { textLines } from '../../../files/lines.ts';
import { SCHEMAS, type CellKind, type CellOf } from './cell-schemas.ts';

/** A cell, and where it is. */
export type RecordedCell = {
  readonly [K in CellKind]: {
    readonly kind: K;
    readonly where: string;
    readonly cell: CellOf<K>;
  };
}[CellKind];

/** Summaries and rows, by the points of X at which Y ran. */
const SUMMARIES: ReadonlyMap<unknown, CellKind> = new Map<unknown, CellKind>([
  ['beforeCompareExchange', 'exchanges'],
  ['beforeRead', 'reads'],
]);
const ROWS: ReadonlyMap<unknown, CellKind> = new Map<unknown, CellKind>([
  ['beforeCompareExchange', 'exchange'],
  ['beforeRead', 'read'],
]);

type Fields = Readonly<Record<string, unknown>>;

const eventOf = ({ xEvent }: Fields): unknown =>
  typeof xEvent === 'object' && xEvent !== null && 'event' in xEvent ? xEvent.event : undefined;

/** The field by which a kind is recognised, in the order in which to look. */
const MARKS: readonly (readonly [field: string, kind: (fields: Fields) => CellKind])[] = [
  ['summary', ({ points }) => SUMMARIES.get(points) ?? 'summary'],
  ['xEvent', (fields) => ROWS.get(eventOf(fields)) ?? 'step'],
  ['stillHeldOnReturn', () => 'locks'],
  ['events', () => 'order'],
  ['tdStageX', () => 'lifecycle'],
  ['xLocksHeldAtPause', () => 'conflict'],
];

const ADVICE =
  'conflicts takes recorded pairs: conflicts, lifecycle-conflicts, stepwise, commit-order or locks';

/** The cells of a file. */
export interface RecordedCells {
  /** The module that was recorded, if the file names it. */
  readonly module: string | undefined;
  readonly cells: readonly RecordedCell[];
}

/** Reads every cell of a file, plain or gzipped. @throws InputError that names the invalid cell */
export async function readCells(file: string): Promise<RecordedCells> {
  const lines: string[] = [];
  for await (const line of textLines(file)) lines.push(line);
  const { module, values } = valuesOf(file, lines);
  if (values.length === 0) throw new InputError(file, 'holds no cell', ADVICE);
  return { module, cells: values.map(({ where, value }) => parseCell(where, value)) };
}

/** Reads one cell; `where` is for reports. @throws InputError if it is none */
export function parseCell(where: string, value: unknown): RecordedCell {
  const fields: Fields = typeof value === 'object' && value !== null ? { ...value } : {};
  const kind = MARKS.find(([mark]) => mark in fields)?.[1](fields);
  if (kind === undefined) throw new InputError(where, 'no cell of a pair recording', ADVICE);
  const parsed = v.safeParse(SCHEMAS[kind], value, { abortEarly: true });
  if (!parsed.success) {
    const [issue] = parsed.issues;
    const what = `${v.getDotPath(issue) ?? 'the cell'}: ${issue.message}`;
    throw new InputError(where, what, 'compare it with the recording format');
  }
  return { kind, where, cell: parsed.output } as RecordedCell; // the schema belongs to the kind
}

interface Value {
  readonly where: string;
  readonly value: unknown;
}

/** The fields of a file that is one object in which cells are. */
const LISTS = ['results', 'functions'] as const;

/** One object with a list of cells, or one object a line. */
function valuesOf(
  file: string,
  lines: readonly string[],
): { readonly module: string | undefined; readonly values: readonly Value[] } {
  const whole = tryJson(lines.join('\n'));
  const fields: Fields = typeof whole === 'object' && whole !== null ? { ...whole } : {};
  for (const name of LISTS) {
    const list = fields[name];
    if (!Array.isArray(list)) continue;
    const { module } = fields;
    const values = list.map((value: unknown, i) => ({ where: `${file}: result ${i + 1}`, value }));
    return { module: typeof module === 'string' ? module : undefined, values };
  }
  if (whole !== undefined) return { module: undefined, values: [{ where: file, value: whole }] };
  const values = lines.flatMap((line, i) =>
    line.trim() === '' ? [] : [lineValue(`${file}:${i + 1}`, line)],
  );
  return { module: undefined, values };
}

function lineValue(where: string, line: string): Value {
  const value = tryJson(line);
  if (value === undefined) {
    throw new InputError(
      where,
      'not a line of JSON',
      'give a whole recording, and check that the file is whole',
    );
  }
  return { where, value };
}

/** The value, or undefined if the text is no JSON. */
function tryJson(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return undefined;
  }
}
