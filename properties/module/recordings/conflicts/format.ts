/**
 * The formats of pair recordings. `conflicts.json` and `lifecycle-conflicts.json` are one object
 * with `results`; `stepwise.jsonl` has one object a line. So have commit-order recordings (not
 * shipped): a call that runs alone, with the order of its acquires, writes and releases. A cell is
 * one result, or one line.
 */
import * as v from 'valibot';
import { InputError } from '../../../files/input.ts';
import { textLines } from '../../../files/lines.ts';
import { count, hex } from '../format/values.ts';

const entry = v.nullish(
  v.pipe(
    v.string(),
    v.transform((name) => (name === '-' ? null : name)),
  ),
  null,
);

const pair = { x: v.string(), y: v.string(), relation: v.string() };
const states = { opState: v.string(), xEntry: entry, yEntry: entry };
const lock = v.nullish(v.string());

const suspended = {
  xLocksHeldAtPause: count,
  xAlone: v.string(),
  yAlone: v.string(),
  yStatus: v.string(),
  yFailedLock: lock,
  yFailedLockKind: v.optional(v.string()),
  blockedByX: v.boolean(),
  xStatusAfterResume: v.string(),
};

const conflictCell = v.object({
  ...pair,
  ...states,
  ...suspended,
  yStatusRaw: v.optional(hex),
  guestRax: v.optional(hex),
  entryWhilePaused: v.optional(hex),
  entryAfter: v.optional(hex),
});

const lifecycleCell = v.object({
  ...pair,
  ...suspended,
  tdStageX: v.string(),
  tdStageY: v.nullish(v.string(), null),
  xChanged: v.boolean(),
});

const event = v.object({
  event: v.string(),
  what: v.string(),
  kind: v.optional(v.string()),
  old: v.optional(hex),
  new: v.optional(hex),
});

const stepCell = v.object({
  ...pair,
  ...states,
  xEventIndex: v.pipe(count, v.minValue(1)),
  xEvent: event,
  yStatus: v.string(),
  xStatusAfterResume: v.string(),
  yAlone: v.string(),
  yAfterX: v.string(),
  xAlone: v.string(),
  xAfterY: v.string(),
  entryAtPause: hex,
  entryBefore: hex,
  entryAfter: hex,
  linearizable: v.boolean(),
  lockLeak: v.union([v.boolean(), v.string()]),
  yFailedLock: lock,
});

const summaryCell = v.object({
  ...pair,
  ...states,
  summary: v.literal(true),
  events: count,
  eventsTried: count,
  rowsKept: count,
  unchanged: count,
  nonAtomicRows: count,
});

const orderCell = v.object({
  x: v.string(),
  opState: v.string(),
  xEntry: entry,
  status: v.string(),
  events: v.array(v.object({ i: count, ...event.entries })),
});

const SCHEMAS = {
  conflict: conflictCell,
  lifecycle: lifecycleCell,
  step: stepCell,
  summary: summaryCell,
  order: orderCell,
} as const;

type CellKind = keyof typeof SCHEMAS;
export type ConflictCell = v.InferOutput<typeof conflictCell>;
export type LifecycleCell = v.InferOutput<typeof lifecycleCell>;
export type StepCell = v.InferOutput<typeof stepCell>;
export type SummaryCell = v.InferOutput<typeof summaryCell>;
export type OrderCell = v.InferOutput<typeof orderCell>;

export type RecordedCell =
  | { readonly kind: 'conflict'; readonly where: string; readonly cell: ConflictCell }
  | { readonly kind: 'lifecycle'; readonly where: string; readonly cell: LifecycleCell }
  | { readonly kind: 'step'; readonly where: string; readonly cell: StepCell }
  | { readonly kind: 'summary'; readonly where: string; readonly cell: SummaryCell }
  | { readonly kind: 'order'; readonly where: string; readonly cell: OrderCell };

/** The field by which a kind is recognised, in the order in which to look. */
const MARKS: readonly (readonly [CellKind, string])[] = [
  ['summary', 'summary'],
  ['step', 'xEvent'],
  ['order', 'events'],
  ['lifecycle', 'tdStageX'],
  ['conflict', 'xLocksHeldAtPause'],
];

const ADVICE =
  'conflicts takes recorded pairs: conflicts, lifecycle-conflicts, stepwise or commit-order';

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
  const fields = typeof value === 'object' && value !== null ? value : {};
  const kind = MARKS.find(([, mark]) => mark in fields)?.[0];
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

/** One object with `results`, or one object a line. */
function valuesOf(
  file: string,
  lines: readonly string[],
): { readonly module: string | undefined; readonly values: readonly Value[] } {
  const whole = tryJson(lines.join('\n'));
  if (
    typeof whole === 'object' &&
    whole !== null &&
    'results' in whole &&
    Array.isArray(whole.results)
  ) {
    const module = 'module' in whole && typeof whole.module === 'string' ? whole.module : undefined;
    const values = whole.results.map((value: unknown, i) => ({
      where: `${file}: result ${i + 1}`,
      value,
    }));
    return { module, values };
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
