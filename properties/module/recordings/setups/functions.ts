/**
 * The operands of each function in the Secure EPT pairs, and the entry that it is usually set up
 * with.
 *
 * Source: the entries that `conflicts.json` and `stepwise.jsonl` name, and the page locks on which
 * their calls fail.
 */
import { PENDING, setOf } from '../../../../spec/tdx/entry.ts';
import type { VersionData } from '../../../../spec/tdx/versions/index.ts';
import { RUNNING_VCPU, TD_EXIT } from './pair-setup.ts';
import { SetupError } from './testbed.ts';

/**
 * Operand of a function. `mapping`: GPA and level; `guest`: GPA and level, from inside the TD;
 * `exit`: none, the vCPU leaves the TD.
 */
type Takes = 'mapping' | 'gpa' | 'td' | 'page' | 'vcpu' | 'guest' | 'exit';

export interface FunctionRow {
  readonly takes: Takes;
  /** The usual entry in a TD that is INITIALIZED, and in one that is RUNNABLE. */
  readonly initialized: string;
  readonly runnable: string;
  /** R8 is a new page: 4K, or of the entry's size. */
  readonly adds?: 'page' | 'sized page';
  /** The function locks the page that the entry points to. */
  readonly locksPage?: true;
  /** The only OP_STATE in which the function succeeds; absent for functions that do in both. */
  readonly only?: 'INITIALIZED';
}

type Rest = Omit<FunctionRow, 'takes' | 'initialized' | 'runnable'>;

const row = (
  name: string,
  takes: Takes,
  initialized: string,
  runnable: string,
  rest: Rest = {},
): [string, FunctionRow] => [name, { takes, initialized, runnable, ...rest }];
const about = (name: string, takes: Takes, entry: string, rest: Rest = {}): [string, FunctionRow] =>
  row(name, takes, entry, entry, rest);

const ARMED = 'TDH.VP.ENTER(0-step filter active)';
const FULL = 'NL_BLOCKED(tracked,512xPENDING)@L1';

const TABLE: ReadonlyMap<string, FunctionRow> = new Map([
  about('TDH.MEM.SEPT.ADD', 'mapping', 'FREE@L1', { adds: 'page' }),
  row('TDH.MEM.SEPT.REMOVE', 'mapping', 'NL_MAPPED(empty)@L1', 'NL_BLOCKED(tracked,empty)@L1', {
    locksPage: true,
  }),
  about('TDH.MEM.SEPT.RD', 'mapping', 'FREE@L0'),
  about('TDH.MEM.PAGE.ADD', 'mapping', 'FREE@L0', { adds: 'page', only: 'INITIALIZED' }),
  about('TDH.MEM.PAGE.AUG', 'mapping', 'FREE@L0', { adds: 'sized page' }),
  row('TDH.MEM.PAGE.REMOVE', 'mapping', 'PENDING@L0', 'BLOCKED(tracked)@L0', { locksPage: true }),
  about('TDH.MEM.PAGE.PROMOTE', 'mapping', FULL, { locksPage: true }),
  row('TDH.MEM.PAGE.DEMOTE', 'mapping', 'PENDING@L1', 'BLOCKED(tracked)@L1', { adds: 'page' }),
  row('TDH.MEM.PAGE.RELOCATE', 'mapping', 'PENDING@L0', 'BLOCKED(tracked)@L0', {
    adds: 'page',
    locksPage: true,
  }),
  about('TDH.MEM.RANGE.BLOCK', 'mapping', 'PENDING@L0'),
  about('TDH.MEM.RANGE.UNBLOCK', 'mapping', 'BLOCKED(tracked)@L0'),
  about('TDH.MEM.RD', 'gpa', 'MAPPED@L0'),
  about('TDH.MEM.WR', 'gpa', 'MAPPED@L0'),
  row('TDH.MR.EXTEND', 'gpa', 'MAPPED@L0', 'FREE@L0', { only: 'INITIALIZED' }),
  about('TDH.MEM.TRACK', 'td', 'FREE@L0'),
  about('TDH.MR.FINALIZE', 'td', 'FREE@L0', { only: 'INITIALIZED' }),
  about('TDH.PHYMEM.PAGE.RECLAIM', 'page', 'PENDING@L0'),
  about('TDH.PHYMEM.PAGE.RDMD', 'page', 'FREE@L0'),
  about('TDH.VP.ENTER', 'vcpu', 'FREE@L0'),
  about(ARMED, 'vcpu', 'FREE@L0'),
  about('TDH.VP.FLUSH', 'vcpu', 'FREE@L0'),
  about(RUNNING_VCPU, 'vcpu', 'FREE@L0'),
  about('TDG.MEM.PAGE.ACCEPT', 'guest', 'PENDING@L0'),
  about(TD_EXIT, 'exit', 'FREE@L0'),
]);

/** The recorded name of every function that has a set-up, TD exits among them or not. */
export const functionNames = (withExits: boolean): readonly string[] =>
  [...TABLE.keys()].filter((name) => withExits || name !== TD_EXIT);

/** Returns the row of a function, by its recorded name. @throws SetupError if there is none */
export function functionRow(recorded: string): FunctionRow {
  const found = TABLE.get(recorded);
  if (found === undefined) throw new SetupError(`there is no set-up for ${recorded}`);
  return found;
}

/** The call is set up with the zero-step filter armed. */
export const isArmedName = (recorded: string): boolean => recorded === ARMED;

/** The function is about an entry. */
export const hasEntry = ({ takes }: FunctionRow): boolean =>
  takes === 'mapping' || takes === 'gpa' || takes === 'guest';

/** The function is one of a vCPU in the guest. */
export const isOfGuest = ({ takes }: FunctionRow): boolean => takes === 'guest' || takes === 'exit';

/** The entry that a function is usually set up with: one that lets it succeed in this version. */
export function usualEntry(function_: FunctionRow, opState: string, version: VersionData): string {
  const isAsRunning =
    opState === 'RUNNABLE' || (version.tracksWhileBuilding && function_.only === undefined);
  const entry = isAsRunning ? function_.runnable : function_.initialized;
  return (version.mergeable & setOf(PENDING)) !== 0
    ? entry
    : entry.replace('512xPENDING', '512xMAPPED');
}
