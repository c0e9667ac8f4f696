/** The values of a version's fields as text. */
import { STATES } from '../../../spec/tdx/entry.ts';
import { FUNCTIONS } from '../../../spec/tdx/functions/index.ts';
import { EXCLUSIVE } from '../../../spec/tdx/locks.ts';
import { pageTypeName } from '../../../spec/tdx/pamt.ts';
import { describeStatus, SUCCESS, toRax, type Status } from '../../../spec/tdx/status.ts';
import { ATTRIBUTES } from '../../../spec/tdx/td-params.ts';
import { OP_STATES } from '../../../spec/tdx/td.ts';
import {
  SEPT_FUNCTIONS,
  type SeptLocking,
  type VersionData,
} from '../../../spec/tdx/versions/index.ts';

const NONE = 'none';

/** The name of a function without its first prefixes: SEPT.ADD, MEM.RD. */
export const shortName = (name: string): string =>
  name.replace(/^TD[HG]\./, '').replace(/^MEM\.(?=PAGE|RANGE|SEPT)/, '');
/** A status without the prefix that all have. */
const shortStatus = (status: Status): string => describeStatus(status).replace(/^TDX_/, '');
/** A status, with bits 63:32 of RAX: numbers differ where names do not. */
export const statusText = (status: Status): string => `${shortStatus(status)} (${rax(status)})`;
const rax = (status: Status): string => `0x${(toRax(status) >> 32n).toString(16)}`;

const list = (items: Iterable<string>): string => {
  const all = [...items];
  return all.length === 0 ? NONE : all.join(', ');
};

/** A boolean, number, text or set of function names. @throws Error for another kind of value */
export function plainValue(value: VersionData[keyof VersionData]): string {
  if (typeof value === 'boolean') return value ? 'yes' : 'no';
  if (typeof value === 'number' || typeof value === 'string') return String(value);
  if (value instanceof Set) return list([...value].map(String).map(shortName));
  throw new Error('the field needs a way to show its value');
}

/** Items by a text that several of them share: `a: x, y; b: z`. */
function grouped(rows: readonly (readonly [key: string, item: string])[]): string {
  const keys = [...new Set(rows.map(([key]) => key))];
  return keys
    .map((key) => `${key}: ${list(rows.flatMap(([other, item]) => (other === key ? [item] : [])))}`)
    .join('; ');
}

const lockingText = ({ tree, entryLock }: SeptLocking): string => {
  const locks = [
    ...(tree === null ? [] : [tree === EXCLUSIVE ? 'tree X' : 'tree S']),
    ...(entryLock ? ['entry'] : []),
  ];
  return locks.length === 0 ? 'neither' : locks.join(' + ');
};

/** The functions by the locks that they take. */
export const lockTableText = ({ septLocks }: VersionData): string =>
  grouped(SEPT_FUNCTIONS.map((name) => [lockingText(septLocks[name]), shortName(name)]));

/** The functions whose text is not that of the newest version. */
export function functionsText({ functions }: VersionData): string {
  const own = [...functions.values()].filter(({ name, run }) => FUNCTIONS.get(name)?.run !== run);
  return list(own.map(({ name }) => shortName(name)));
}

/** The names of a set of states. */
export const statesText = (states: number): string =>
  list(STATES.flatMap(({ name }, state) => ((states & (1 << state)) === 0 ? [] : [name])));

/** The functions by the statuses of their checks, in order. */
export const checksText = ({ entryChecks }: VersionData): string =>
  entryChecks.size === 0
    ? 'EPT_ENTRY_STATE_INCORRECT'
    : grouped(
        [...entryChecks].map(([name, checks]) => [
          list(checks.map(([status]) => shortStatus(status))),
          shortName(name),
        ]),
      );

/** For each set of OP_STATEs that a function can require, the status of each other one. */
export const opStateText = ({ opStateStatuses }: VersionData): string =>
  opStateStatuses.size === 0
    ? 'OP_STATE_INCORRECT for all'
    : [...opStateStatuses]
        .map(([allowed, statuses]) => {
          const refused = statuses.flatMap((status, state) =>
            status === SUCCESS ? [] : [`${shortStatus(status)} in ${OP_STATES[state]}`],
          );
          const wanted = OP_STATES.filter((_, state) => (allowed & (1 << state)) !== 0);
          return `${wanted.join(' or ')} required: ${list(refused)}`;
        })
        .join('; ');

/** The statuses that report an entry. */
export const reportingText = ({ reporting }: VersionData): string =>
  reporting === null ? 'all about an entry' : list([...reporting].map(shortStatus));

/** What concerns all states of an entry. */
export function encodingText({ encoding }: VersionData): string {
  const { lockBits, showsProgress, level0IsLeaf } = encoding;
  const bits = Array.from({ length: 64 }, (_, i) => i).filter(
    (i) => ((lockBits >> BigInt(i)) & 1n) !== 0n,
  );
  return [
    `bits of locks: ${list(bits.map(String))}`,
    `the progress of ACCEPT is ${showsProgress ? '' : 'not '}reported`,
    `a FREE entry of 4K is ${level0IsLeaf ? 'a' : 'no'} leaf`,
  ].join('; ');
}

/** The number of pages, which of them is the root, and the status if some are missing. */
export function tdcxText({ tdcx: { min, max, root, missing } }: VersionData): string {
  const count = min === max ? String(min) : `${min} to ${max}`;
  const status = missing === null ? '' : `; fewer: ${shortStatus(missing)}`;
  return `${count} of type TDCX, number ${root + 1} is the root${status}`;
}

/** The number and type of the pages, and the status if it is wrong. */
export function tdvpsText({ tdvps }: VersionData): string {
  const { min, perL2Vm, max, type, wrongNumber } = tdvps;
  const more = perL2Vm === 0 ? '' : `, and ${perL2Vm} for each L2 VM, at most ${max}`;
  return `${min}${more}, of type ${pageTypeName(type)}; else ${shortStatus(wrongNumber)}`;
}

const RESTORE_FAULTS: Readonly<Record<VersionData['restoreFault'], string>> = {
  halt: 'the module halts',
  exit: 'a debug TD exits; another one is fatal, and the vCPU stays ACTIVE',
  fatal: 'the TD is fatal, and the vCPU stays counted',
};
export const restoreFaultText = ({ restoreFault }: VersionData): string =>
  RESTORE_FAULTS[restoreFault];

/** The names of bits of ATTRIBUTES. */
export const attributesText = ({ attributes }: VersionData): string =>
  list(
    Object.entries(ATTRIBUTES).flatMap(([name, bit]) => ((attributes & bit) === 0n ? [] : [name])),
  );

/** The statuses of the checks of TD_PARAMS, in order. */
export const paramsText = ({ tdParamsChecks }: VersionData): string =>
  list(tdParamsChecks.map(([status]) => shortStatus(status).replace('OPERAND_INVALID|', '')));
