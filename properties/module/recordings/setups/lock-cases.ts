/**
 * The cases of lock tables: a function that runs alone, by name, case and state of the TD.
 *
 * Source: the cases and locks in `locks.json` and `lifecycle-locks.json`.
 */
import type { Operands } from '../../../../spec/tdx/call.ts';
import { LIFECYCLE_FUNCTIONS } from './lifecycle-functions.ts';
import { setUpLifecyclePair } from './lifecycle.ts';
import { TD_EXIT, type PairSetup } from './pair-setup.ts';
import { setUpPair } from './pairs.ts';
import { SetupError, type Testbed } from './testbed.ts';

export interface LockCase {
  readonly function: string;
  readonly case: string;
  readonly opState?: string | undefined;
  readonly entryState: string | null;
  readonly tdStage?: string | undefined;
}

/** Recordings of 1.5 give this name to a TD exit. */
const ASYNCHRONOUS_EXIT = '(asynchronous TD exit)';

/** The entry that a case needs but does not name. */
const ENTRIES: ReadonlyMap<string, string> = new Map([
  ['2M REG page, TD in TEARDOWN', 'PENDING@L1'],
]);

/** The operands in which a case differs from the usual call. */
const OPERANDS: ReadonlyMap<string, Partial<Operands>> = new Map<string, Partial<Operands>>([
  ['TSC_ADJUST changed', { inject: 'tscAdjustMsrChanged' }],
  ['RESUME without a session', { rcx: 1 }],
  ['R8 wider than 32 bits', { r8: 2 ** 32 }],
  ["x2APIC id in use (0: initial value of VCPU0's slot)", { r8: 0 }], // as recordings spell it
  ['version 2', { version: 2 }],
]);

/** A second call that needs nothing; it does not run. */
const IDLE = 'TDH.MNG.KEY.RECLAIMID';

/** Sets up the call as X. @throws SetupError if there is no set-up for it */
export function setUpLockCase(testbed: Testbed, row: LockCase): PairSetup {
  const setup = row.tdStage === undefined ? setUpEntry(testbed, row) : setUpStage(testbed, row);
  const operands = OPERANDS.get(row.case);
  if (operands === undefined) return setup;
  return { ...setup, x: { ...setup.x, operands: { ...setup.x.operands, ...operands } } };
}

function setUpEntry(testbed: Testbed, row: LockCase): PairSetup {
  if (row.opState === undefined) throw new SetupError(`${row.function} has no OP_STATE`);
  return setUpPair(testbed, {
    recorder: 'stepwise',
    x: row.function === ASYNCHRONOUS_EXIT ? TD_EXIT : row.function,
    y: 'TDH.MEM.TRACK',
    relation: 'sameEntry',
    opState: row.opState,
    xEntry: row.entryState ?? ENTRIES.get(row.case) ?? null,
    yEntry: null,
  });
}

function setUpStage(testbed: Testbed, row: LockCase): PairSetup {
  const { tables } = testbed.conventions;
  const named = LIFECYCLE_FUNCTIONS[tables].has(`${row.function}(${row.case})`);
  return setUpLifecyclePair(testbed, {
    x: row.function,
    ...(named ? { xCase: row.case } : {}),
    y: IDLE,
    relation: 'sameTD',
    tdStageX: row.tdStage ?? '',
    tdStageY: null,
  });
}
