/**
 * Compares lock tables: the locks that a call takes and releases when it runs alone, its answer
 * when it finds one of them held, and its writes.
 */
import { EXCLUSIVE, SHARED } from '../../../../spec/tdx/locks.ts';
import type { PairSetup } from '../setups/pair-setup.ts';
import type { LocksCell } from './cell-schemas.ts';
import type { Comparison } from './comparison.ts';
import { LockMeasurement } from './lock-measurement.ts';
import type { PairMeasurement } from './measurement.ts';
import type { RecordedNames } from './recorded-names.ts';

export function compareLocks(
  cell: LocksCell,
  setup: PairSetup,
  names: RecordedNames,
  pair: PairMeasurement,
  comparison: Comparison,
): void {
  const measured = new LockMeasurement(setup, names);
  comparison.field('status', statusIn(cell.status), statusIn(measured.status));
  compareEvents(cell, measured, comparison);
  compareRest(cell, measured, comparison);
  for (const busy of cell.busy) compareBusy(busy, measured, names, comparison);
  compareWrites(cell, pair, measured, comparison);
}

/** Statuses without what recordings of lock tables leave open. */
const statusIn = (status: string): string =>
  status
    .replace(/^TD_ENTERED$/, 'TDX_SUCCESS')
    .replace(/^\(TD_EXIT\)$/, 'TDX_SUCCESS')
    .replace(/\|\?$/, '')
    .replace(/^(TDX_OPERAND_INVALID)\|RAX$/, '$1')
    .replace(/^(TDX_INCONSISTENT_MSR)\|.*$/, '$1');

type Line = Pick<LocksCell['events'][number], 'event' | 'lock' | 'kind' | 'type'>;

const textOf = ({ event, lock, kind, type }: Line): string => `${event} ${lock} ${kind}, ${type}`;

function compareEvents(cell: LocksCell, { lines }: LockMeasurement, comparison: Comparison): void {
  let next = 0;
  cell.events.forEach((recorded, i) => {
    const ours = lines[next];
    const field = `events[${i}]`;
    comparison.field(field, textOf(recorded), ours === undefined ? undefined : textOf(ours));
    const { promotedFromShared = false, byEntryWrite = false } = ours ?? {};
    comparison.field(
      `${field}.promotedFromShared`,
      recorded.promotedFromShared,
      promotedFromShared,
    );
    comparison.field(`${field}.byEntryWrite`, recorded.byEntryWrite, byEntryWrite);
    next += recorded.count;
  });
  comparison.field('events.length', next, lines.length);
}

function compareRest(
  { releasedByEntryWrite, releasedByEntryWriteCount, stillHeldOnReturn }: LocksCell,
  { releasedByWrite, held }: LockMeasurement,
  comparison: Comparison,
): void {
  comparison.given('releasedByEntryWriteCount', releasedByEntryWriteCount, releasedByWrite.length);
  const first = releasedByWrite.slice(0, releasedByEntryWrite?.length).join();
  comparison.given('releasedByEntryWrite', releasedByEntryWrite?.join(), first);
  comparison.field('stillHeldOnReturn.length', stillHeldOnReturn.length, held.length);
  stillHeldOnReturn.forEach((recorded, i) => {
    const [name = '', kind = ''] = held[i] ?? [];
    comparison.field(`stillHeldOnReturn[${i}]`, heldText(recorded, kind), `${name} (${kind})`);
  });
}

/** `name (kind)`; the kind is ours if the recording gives none. */
function heldText(recorded: string | readonly [string, string], ours: string): string {
  if (typeof recorded !== 'string') return `${recorded[0]} (${recorded[1]})`;
  return recorded.endsWith(')') ? recorded : `${recorded} (${ours})`;
}

function compareBusy(
  busy: LocksCell['busy'][number],
  measured: LockMeasurement,
  names: RecordedNames,
  comparison: Comparison,
): void {
  const field = `busy ${busy.lock}`;
  const cell = measured.lockWords.find((word) => names.lock(word) === busy.lock);
  comparison.field(field, busy.lock, cell === undefined ? undefined : names.lock(cell));
  if (cell === undefined) return;
  const exclusive = measured.whenHeld(cell, EXCLUSIVE);
  comparison.field(`${field}, exclusively`, statusIn(busy.ifHeldExclusively), exclusive.status);
  comparison.given(`${field}, the lock that fails`, busy.failedLockExclusive, exclusive.failedLock);
  if (busy.ifHeldShared === undefined) return;
  const shared = measured.whenHeld(cell, SHARED);
  comparison.field(`${field}, shared`, statusIn(busy.ifHeldShared), shared.status);
}

/**
 * Compares the writes, in order. A word that the specification changes within another step only has
 * to change as recorded; one that it does not have is not compared.
 */
function compareWrites(
  cell: LocksCell,
  { trace }: PairMeasurement,
  { before, after }: LockMeasurement,
  comparison: Comparison,
): void {
  if (cell.writes.length === 0) return;
  const events = trace?.events.filter(({ event }) => event === 'afterWrite') ?? [];
  const inSteps = new Set(events.map(({ what }) => what));
  const known = new Set(before.map(({ name }) => name));
  const ordered = cell.writes.filter(({ what }) => inSteps.has(what));
  comparison.field('writes.length', ordered.length, events.length);
  ordered.forEach((write, i) => {
    const ours = events[i];
    comparison.field(`writes[${i}].what`, write.what, ours?.what);
    if (ours?.isTime === true) {
      comparison.skip('times');
      return;
    }
    comparison.bits(`writes[${i}].old`, write.old, ours?.old);
    comparison.bits(`writes[${i}].new`, write.new, ours?.new);
  });
  for (const { what, old, new: now } of cell.writes) {
    if (inSteps.has(what)) continue;
    if (!known.has(what)) {
      comparison.skip('writes of words that the specification does not have');
      continue;
    }
    const isChanged = before.some(
      ({ name, value }, i) =>
        name === what && value === BigInt(old) && after[i]?.value === BigInt(now),
    );
    comparison.field(`writes of ${what}`, true, isChanged);
  }
}
