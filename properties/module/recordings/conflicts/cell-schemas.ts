/**
 * The cells of pair recordings, one schema for each kind. A cell is one result of a file, or one
 * line.
 */
import * as v from 'valibot';
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
  xChanged: v.optional(v.boolean()),
  linearizable: v.optional(v.boolean()),
});

const lifecycleCell = v.object({
  ...pair,
  ...suspended,
  /** How the function is called, where it has several cases. */
  xCase: v.optional(v.string(), ''),
  yCase: v.optional(v.string(), ''),
  tdStageX: v.string(),
  tdStageY: v.nullish(v.string(), null),
  xChanged: v.boolean(),
  linearizable: v.optional(v.boolean()),
});

const event = v.object({
  event: v.string(),
  what: v.string(),
  kind: v.optional(v.string()),
  old: v.optional(hex),
  new: v.optional(hex),
});

/** The outcome of Y at a point of X, and those without an interruption. */
const outcome = {
  yStatus: v.string(),
  xStatusAfterResume: v.string(),
  yAlone: v.string(),
  yAfterX: v.string(),
  xAlone: v.string(),
  xAfterY: v.string(),
  linearizable: v.boolean(),
};
const entries = {
  entryAtPause: v.optional(hex),
  entryBefore: v.optional(hex),
  entryAfter: v.optional(hex),
  lockLeak: v.union([v.boolean(), v.string()]),
};

const stepCell = v.object({
  ...pair,
  ...states,
  xEventIndex: v.pipe(count, v.minValue(1)),
  xEvent: event,
  ...outcome,
  ...entries,
  yFailedLock: lock,
});

const summary = { ...pair, ...states, summary: v.literal(true), eventsTried: count };
const alone = {
  xAlone: v.optional(v.string()),
  yAlone: v.optional(v.string()),
  yAfterX: v.optional(v.string()),
  xAfterY: v.optional(v.string()),
};
const counts = { events: count, rowsKept: count, unchanged: count, nonAtomicRows: count };
const summaryCell = v.object({ ...summary, ...alone, ...counts });

/** X is suspended before its n-th compare-and-exchange of an entry, or load of a watched word. */
const access = (name: string) =>
  v.object({
    event: v.literal(name),
    number: v.pipe(count, v.minValue(1)),
    what: v.string(),
    value: hex,
  });
const exchangeCell = v.object({
  ...pair,
  ...states,
  xEvent: access('beforeCompareExchange'),
  ...outcome,
  ...entries,
});
const exchangesCell = v.object({ ...summary, ...counts, points: v.string() });
const readCell = v.object({ ...pair, ...states, xEvent: access('beforeRead'), ...outcome });
const readsCell = v.object({
  ...summary,
  points: v.string(),
  reads: count,
  changed: count,
  nonAtomicRows: count,
});

const orderCell = v.object({
  x: v.string(),
  opState: v.string(),
  xEntry: entry,
  status: v.string(),
  events: v.array(v.object({ i: count, ...event.entries })),
});

const lockEvent = v.object({
  event: v.picklist(['acquire', 'promote', 'release']),
  lock: v.string(),
  kind: v.string(),
  type: v.string(),
  /** That many locks of one table, the first of which is named. */
  count: v.optional(v.pipe(count, v.minValue(1)), 1),
  promotedFromShared: v.optional(v.boolean(), false),
  byEntryWrite: v.optional(v.boolean(), false),
});
/** The answers if a lock is found held before the call. */
const busy = v.object({
  lock: v.string(),
  ifHeldExclusively: v.string(),
  ifHeldShared: v.optional(v.string()),
  failedLockExclusive: v.optional(v.string()),
});
const locksCell = v.object({
  function: v.string(),
  case: v.string(),
  status: v.string(),
  opState: v.optional(v.string()),
  entryState: entry,
  tdStage: v.optional(v.string()),
  events: v.array(lockEvent),
  /** The first of them, if there are many. */
  releasedByEntryWrite: v.optional(v.array(v.string())),
  releasedByEntryWriteCount: v.optional(count),
  /** `name`, `name (kind)`, or both. */
  stillHeldOnReturn: v.array(v.union([v.string(), v.tuple([v.string(), v.string()])])),
  busy: v.optional(v.array(busy), []),
  writes: v.optional(v.array(v.object({ what: v.string(), old: hex, new: hex })), []),
});

export const SCHEMAS = {
  conflict: conflictCell,
  lifecycle: lifecycleCell,
  step: stepCell,
  summary: summaryCell,
  exchange: exchangeCell,
  exchanges: exchangesCell,
  read: readCell,
  reads: readsCell,
  order: orderCell,
  locks: locksCell,
} as const;

export type CellKind = keyof typeof SCHEMAS;
export type CellOf<K extends CellKind> = v.InferOutput<(typeof SCHEMAS)[K]>;
export type ConflictCell = CellOf<'conflict'>;
export type LifecycleCell = CellOf<'lifecycle'>;
export type StepCell = CellOf<'step'>;
export type SummaryCell = CellOf<'summary'>;
export type ExchangeCell = CellOf<'exchange'>;
export type ExchangesCell = CellOf<'exchanges'>;
export type ReadCell = CellOf<'read'>;
export type ReadsCell = CellOf<'reads'>;
export type OrderCell = CellOf<'order'>;
export type LocksCell = CellOf<'locks'>;
