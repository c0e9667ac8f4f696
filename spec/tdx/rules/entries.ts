/** What happens to entries, and to the pages they point to. */
import type { Cell } from '../../machine/machine.ts';
import type { Call } from '../call.ts';
import {
  BLOCKED,
  describeEntry,
  FREE,
  isTable,
  MAPPED,
  NL_BLOCKED,
  NL_MAPPED,
  pageOf,
  PENDING,
  PENDING_BLOCKED,
  stateOf,
  withoutLocks,
  type Entry,
  type EntryState,
} from '../entry.ts';
import type { TdxModule } from '../module.ts';
import { gfnOf, tdGet } from '../operands.ts';
import { RUNNABLE, TD } from '../td.ts';
import { openCalls } from './observers.ts';
import type { TdxRule } from './rule.ts';
import { disagreement, tableAt, targetOf, tdsOf, treeDisagreement } from './tree.ts';

/** Which changes of an entry a function may make. */
interface Changes {
  /** From, to; while the TD can run, too. */
  readonly always: readonly (readonly [EntryState, EntryState])[];
  /** From, to; only while the TD is being built: these take a translation away that is not blocked. */
  readonly whileBuilding?: readonly (readonly [EntryState, EntryState])[];
  /** A leaf or table entry that stays one may point to another page than before. */
  readonly moves?: true;
}

/**
 * By function; one that is not listed changes nothing. The states of migration, which is out of
 * scope, do not appear. Source: module notes §3, epoch notes, rule 6.
 */
const CHANGES: ReadonlyMap<string, Changes> = new Map<string, Changes>([
  ['TDH.MEM.SEPT.ADD', { always: [[FREE, NL_MAPPED]] }],
  ['TDH.MEM.SEPT.REMOVE', { always: [[NL_BLOCKED, FREE]], whileBuilding: [[NL_MAPPED, FREE]] }],
  ['TDH.MEM.PAGE.ADD', { always: [], whileBuilding: [[FREE, MAPPED]] }],
  ['TDH.MEM.PAGE.AUG', { always: [[FREE, PENDING]] }],
  [
    'TDH.MEM.PAGE.REMOVE',
    {
      always: [
        [BLOCKED, FREE],
        [PENDING_BLOCKED, FREE],
      ],
      whileBuilding: [
        [MAPPED, FREE],
        [PENDING, FREE],
      ],
    },
  ],
  [
    'TDH.MEM.PAGE.PROMOTE',
    {
      always: [
        [NL_BLOCKED, MAPPED],
        [NL_BLOCKED, PENDING],
      ],
      whileBuilding: [
        [NL_MAPPED, MAPPED],
        [NL_MAPPED, PENDING],
      ],
      moves: true,
    },
  ],
  [
    'TDH.MEM.PAGE.DEMOTE',
    {
      always: [
        [BLOCKED, NL_MAPPED],
        [PENDING_BLOCKED, NL_MAPPED],
      ],
      whileBuilding: [
        [MAPPED, NL_MAPPED],
        [PENDING, NL_MAPPED],
      ],
      moves: true,
    },
  ],
  [
    'TDH.MEM.PAGE.RELOCATE',
    {
      always: [
        [BLOCKED, MAPPED],
        [PENDING_BLOCKED, PENDING],
      ],
      whileBuilding: [
        [MAPPED, MAPPED],
        [PENDING, PENDING],
      ],
      moves: true,
    },
  ],
  [
    'TDH.MEM.RANGE.BLOCK',
    {
      always: [
        [NL_MAPPED, NL_BLOCKED],
        [MAPPED, BLOCKED],
        [PENDING, PENDING_BLOCKED],
      ],
    },
  ],
  [
    'TDH.MEM.RANGE.UNBLOCK',
    {
      always: [
        [NL_BLOCKED, NL_MAPPED],
        [BLOCKED, MAPPED],
        [PENDING_BLOCKED, PENDING],
      ],
    },
  ],
  // PENDING to PENDING: a 2 MiB page, interrupted half-way
  [
    'TDG.MEM.PAGE.ACCEPT',
    {
      always: [
        [PENDING, MAPPED],
        [PENDING, PENDING],
      ],
    },
  ],
]);

const T01: TdxRule = {
  id: 'T01',
  level: 'required',
  statement:
    'A Secure EPT entry changes only as the function that writes it may change it, given what the TD may do.',
  source: 'module notes §3; epoch notes, rule 6; transitions.json, observed rows',
  versions: ['*'],
  watch: (tdx, report) => {
    tdx.listeners.push({
      entryWritten: (cell, before, after, call) => {
        if (withoutLocks(before) === withoutLocks(after)) return;
        report.exercised();
        if (cell === call.entryCell) {
          if (mayChange(tdx, call, before, after)) return;
          // a writer who has read something else: T12
          if (withoutLocks(before) !== withoutLocks(call.entry)) return;
        }
        report.violated(
          `${call.name} takes ${describeEntry(before)} where it may`,
          describeEntry(after),
        );
      },
    });
  },
};

function mayChange(tdx: TdxModule, call: Call, before: Entry, after: Entry): boolean {
  const { always, whileBuilding = [], moves } = CHANGES.get(call.name) ?? { always: [] };
  const [from, to] = [stateOf(before), stateOf(after)];
  const pairs = tdGet(tdx, call, TD.OP_STATE) === RUNNABLE ? always : [...always, ...whileBuilding];
  if (!pairs.some(([f, t]) => f === from && t === to)) return false;
  if (moves === true || from === FREE || to === FREE) return true;
  return targetOf(tdx, before, call.level) === targetOf(tdx, after, call.level);
}

const T02: TdxRule = {
  id: 'T02',
  level: 'required',
  statement:
    'An entry changes only in a table that the tree reaches: parents come before children, and go after them.',
  source: 'module notes §2 (walk), §3 (SEPT.ADD links last)',
  versions: ['*'],
  watch: (tdx, report) => {
    tdx.listeners.push({
      entryWritten: (_cell, before, after, call) => {
        if (withoutLocks(before) === withoutLocks(after)) return;
        report.exercised();
        const reached = tableAt(tdx, call.tdr, gfnOf(call.in.rcx), call.level);
        if (reached === call.table) return;
        const where = reached < 0 ? 'no table there' : `page ${reached}`;
        report.violated(
          `${call.name} changes an entry of the tree`,
          `it is in page ${call.table}; there is ${where}`,
        );
      },
    });
  },
};

const T03: TdxRule = {
  id: 'T03',
  level: 'required',
  statement: 'A table is removed only when every one of its entries is FREE.',
  source: 'module notes §3 (SEPT.REMOVE)',
  versions: ['*'],
  watch: (tdx, report) => {
    tdx.listeners.push({
      entryWritten: (_cell, before, after) => {
        if (!isTable(before) || stateOf(after) !== FREE) return;
        report.exercised();
        for (let i = 0; i < tdx.geometry.fanout; i++) {
          const child = tdx.m.peek(tdx.memory.word(pageOf(before), i));
          if (stateOf(child) === FREE) continue;
          return report.violated(
            'every entry of the removed table FREE',
            `entry ${i} is ${describeEntry(child)}`,
          );
        }
      },
    });
  },
};

const T04: TdxRule = {
  id: 'T04',
  level: 'required',
  statement:
    'A page has one owner and one use: with no call in flight, PAMT says of a page what the tree says.',
  source: 'module notes §2 (new page), §3; final dumps of the sequential recordings',
  versions: ['*'],
  watch: (tdx, report) => {
    const calls = openCalls(tdx);
    /** Entries that changed since no call was in flight, with the last call that changed each. */
    const changed = new Map<Cell, Call>();
    tdx.m.clearOnReset(changed);
    tdx.listeners.push({
      entryWritten: (cell, before, after, call) => {
        if (withoutLocks(before) !== withoutLocks(after)) changed.set(cell, call);
      },
      ended: () => {
        if (!calls.quiet || changed.size === 0) return;
        for (const [
          cell,
          {
            table,
            level,
            tdr,
            in: { rcx },
          },
        ] of changed) {
          if (tableAt(tdx, tdr, gfnOf(rcx), level) !== table) continue; // the table has gone since
          report.exercised();
          const e = tdx.m.peek(cell);
          const seen = disagreement(tdx, e, level, tdr);
          if (seen !== null)
            report.violated(`PAMT agrees with ${describeEntry(withoutLocks(e))}`, seen);
        }
        changed.clear();
      },
    });
  },
  atRest: (tdx, report) => {
    for (const tdr of tdsOf(tdx)) {
      report.exercised();
      const seen = treeDisagreement(tdx, tdr);
      if (seen !== null) report.violated('PAMT agrees with the tree', seen);
    }
  },
};

export const ENTRY_RULES: readonly TdxRule[] = [T01, T02, T03, T04];
