/**
 * Records the locks of calls that run alone, as rows of a lock table: every function, on its usual
 * entry, in every OP_STATE.
 */
import { EXCLUSIVE, SHARED } from '../../../../spec/tdx/locks.ts';
import { versionData, type ModuleVersion } from '../../../../spec/tdx/versions/index.ts';
import type { LocksCell } from '../conflicts/cell-schemas.ts';
import { LockMeasurement, type LockLine } from '../conflicts/lock-measurement.ts';
import { RecordedNames } from '../conflicts/recorded-names.ts';
import { functionNames, functionRow, hasEntry, usualEntry } from '../setups/functions.ts';
import { setUpLockCase } from '../setups/lock-cases.ts';
import { RUNNING_VCPU } from '../setups/pair-setup.ts';
import { builtTds, SetupError, Testbed } from '../setups/testbed.ts';

/** A row, with the fields of the recordings only. */
type Row = Omit<LocksCell, 'events' | 'busy' | 'tdStage' | 'writes'> & {
  readonly events: readonly object[];
  readonly busy: readonly object[];
};

/** Rows of `locks.json`. */
export function lockRows(version: ModuleVersion): Row[] {
  const testbed = new Testbed(builtTds, version);
  const names = new RecordedNames(testbed.u);
  return functionNames(true)
    .filter((name) => name !== RUNNING_VCPU)
    .flatMap((name) =>
      ['RUNNABLE', 'INITIALIZED'].flatMap((opState) => {
        const row = functionRow(name);
        const entryState = hasEntry(row) ? usualEntry(row, opState, versionData(version)) : null;
        const made = lockRow(testbed, names, { function: name, opState, entryState });
        return made === null ? [] : [made];
      }),
    );
}

function lockRow(
  testbed: Testbed,
  names: RecordedNames,
  named: {
    readonly function: string;
    readonly opState: string;
    readonly entryState: string | null;
  },
): Row | null {
  const mark = testbed.mark();
  try {
    const row = { ...named, case: '' };
    return rowOf(row, names, new LockMeasurement(setUpLockCase(testbed, row), names));
  } catch (error) {
    if (error instanceof SetupError) return null;
    throw error;
  } finally {
    testbed.undo(mark);
  }
}

function rowOf(
  named: Pick<Row, 'function' | 'case' | 'opState' | 'entryState'>,
  names: RecordedNames,
  measured: LockMeasurement,
): Row {
  const { status, lines, releasedByWrite, held, lockWords } = measured;
  return {
    ...named,
    status,
    events: collapsed(lines),
    releasedByEntryWrite: releasedByWrite.slice(0, MOST_LISTED),
    releasedByEntryWriteCount: releasedByWrite.length,
    stillHeldOnReturn: held.map(([name, kind]) => [name, kind]),
    busy: lockWords.map((word) => {
      const exclusive = measured.whenHeld(word, EXCLUSIVE);
      return {
        lock: names.lock(word),
        ifHeldExclusively: exclusive.status,
        ifHeldShared: measured.whenHeld(word, SHARED).status,
        ...(exclusive.failedLock === null ? {} : { failedLockExclusive: exclusive.failedLock }),
      };
    }),
  };
}

/** The name of an entry's lock, before and after its number in the table. */
const ENTRY = /^(SEPT_ENTRY\[page=.*,idx=)(\d+)\]$/;

/** The events; of those about consecutive entries of a table the first, with their number. */
function collapsed(lines: readonly LockLine[]): object[] {
  const events: { line: LockLine; count: number }[] = [];
  for (const line of lines) {
    const last = events.at(-1);
    const [, table, index] = ENTRY.exec(line.lock) ?? [];
    const [, lastTable, first] = ENTRY.exec(last?.line.lock ?? '') ?? [];
    const continues = table === lastTable && Number(index) === Number(first) + (last?.count ?? 0);
    if (last !== undefined && table !== undefined && continues && last.line.event === line.event)
      last.count++;
    else events.push({ line, count: 1 });
  }
  return events.map(({ line: { promotedFromShared, byEntryWrite, ...line }, count }) => ({
    ...line,
    ...(promotedFromShared ? { promotedFromShared } : {}),
    ...(byEntryWrite ? { byEntryWrite } : {}),
    ...(count > 1 ? { count } : {}),
  }));
}

/** Of the releases by a write, the first are listed. */
const MOST_LISTED = 4;
