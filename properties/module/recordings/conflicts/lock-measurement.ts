/**
 * Runs one call of a lock table on the specification: alone, and with one of its locks held by
 * another. Each run is undone on the testbed.
 */
import type { Cell } from '../../../../spec/machine/machine.ts';
import { SHARED, type LockKind, type Mode } from '../../../../spec/tdx/locks.ts';
import { supervised } from '../../../checker/module-guard.ts';
import type { LockType } from '../setups/conventions.ts';
import { start, type PairSetup } from '../setups/pair-setup.ts';
import { SetupError } from '../setups/testbed.ts';
import { stillHeld, traceLocks, type LockStep, type LockTrace } from './lock-trace.ts';
import type { RecordedNames, Snapshot } from './recorded-names.ts';
import { failedLock, statusText } from './status.ts';

/** An event as lock tables write it. */
export interface LockLine {
  readonly event: LockStep['what'];
  readonly lock: string;
  readonly kind: string;
  readonly type: string;
  /** An exclusive acquisition of a lock that was held shared. */
  readonly promotedFromShared: boolean;
  readonly byEntryWrite: boolean;
}

interface Answer {
  readonly status: string;
  readonly failedLock: string | null;
}

const kindName = (mode: Mode): string => (mode === SHARED ? 'SHARED' : 'EXCLUSIVE');

const isWord = (type: LockType): type is LockKind => type !== 'entry' && type !== 'hardware';

export class LockMeasurement {
  private readonly setup: PairSetup;
  private readonly names: RecordedNames;
  readonly status: string;
  /** The watched words of the TD, before and after the call. */
  readonly before: readonly Snapshot[];
  readonly after: readonly Snapshot[];
  private readonly steps: readonly LockStep[];

  constructor(setup: PairSetup, names: RecordedNames) {
    this.setup = setup;
    this.names = names;
    const { seesKeyTable } = setup.testbed.conventions;
    const { before, trace, after } = this.undone(() => ({
      before: names.snapshot(),
      trace: this.run(),
      after: names.snapshot(),
    }));
    this.status = statusText(trace.call, setup.testbed.conventions);
    this.before = before;
    this.after = after;
    this.steps = trace.steps.filter(({ cell }) => seesKeyTable || !names.isKeyTable(cell));
  }

  /** Makes X's vCPU enter its guest, returns what `run` returns, and undoes all writes. */
  private undone<T>(run: () => T): T {
    const { testbed, enterX } = this.setup;
    const mark = testbed.mark();
    try {
      enterX();
      return run();
    } finally {
      testbed.undo(mark);
    }
  }

  private run(): LockTrace {
    const { testbed, x } = this.setup;
    const steps = start(testbed, x);
    if (steps === null) throw new SetupError('a vCPU that only runs makes no call');
    return supervised(testbed.tdx.version, () => traceLocks(testbed, steps));
  }

  /** The acquisitions and releases, in order; those by a write only if the recorder lists them. */
  get lines(): readonly LockLine[] {
    const { listsReleasingWrites, lockTypes } = this.setup.testbed.conventions;
    return this.steps
      .filter(({ isByWrite }) => listsReleasingWrites || !isByWrite)
      .map(({ what, cell, mode, isByWrite }) => ({
        event: what === 'promote' && listsReleasingWrites ? 'acquire' : what,
        lock: this.names.lock(cell),
        kind: kindName(mode),
        type: lockTypes[this.names.lockType(cell)],
        promotedFromShared: what === 'promote' && listsReleasingWrites,
        byEntryWrite: isByWrite,
      }));
  }

  /** The locks that a write of their entry releases. */
  get releasedByWrite(): readonly string[] {
    return this.steps.filter(({ isByWrite }) => isByWrite).map(({ cell }) => this.names.lock(cell));
  }

  /** The locks that are held after the call, with their kind. */
  get held(): readonly (readonly [name: string, kind: string])[] {
    return stillHeld(this.steps).map(({ cell, mode }) => [this.names.lock(cell), kindName(mode)]);
  }

  /** The words of the locks that the call takes, in order. An entry has no word of its own. */
  get lockWords(): readonly Cell[] {
    const taken = this.steps.filter(({ what }) => what !== 'release').map(({ cell }) => cell);
    return [...new Set(taken)].filter((cell) => isWord(this.names.lockType(cell)));
  }

  /** The answer if another holds the lock. */
  whenHeld(cell: Cell, mode: Mode): Answer {
    const { tdx, conventions } = this.setup.testbed;
    const kind = this.names.lockType(cell);
    if (!isWord(kind)) throw new Error(`${this.names.lock(cell)} is no lock word`);
    return this.undone(() => {
      tdx.locks.tryNow(cell, kind, mode);
      const { call } = this.run();
      return { status: statusText(call, conventions), failedLock: failedLock(this.names, call) };
    });
  }
}
