/** Who excludes whom, and who waits for whom. */
import type { Cell } from '../../machine/machine.ts';
import type { Call } from '../call.ts';
import { describeEntry, HOST_PRIORITY, isTable, pageOf, withoutLocks } from '../entry.ts';
import { EXCLUSIVE, type Mode } from '../locks.ts';
import { gfnOf } from '../operands.ts';
import { classOf, MODULE_HALT, OPERAND_BUSY, SUCCESS } from '../status.ts';
import { TD } from '../td.ts';
import { SEPT_FUNCTIONS, septLocking, type SeptFunction } from '../versions.ts';
import { ALONE, holdersOf, openCalls } from './observers.ts';
import type { TdxRule } from './rule.ts';
import { tableAt } from './tree.ts';

const T09: TdxRule = {
  id: 'T09',
  level: 'required',
  statement:
    'A lock excludes: an exclusive holder is alone, shared ones share; a call that ends holds none.',
  source: 'module notes §5; conflicts.json; locks.json',
  versions: ['*'],
  watch: (tdx, report) => {
    const holders = holdersOf(tdx);
    /** What a call's actor held when the call began: a vCPU inside keeps its TDVPR and TDR. */
    const before = new Map<Call, number>();
    tdx.m.clearOnReset(before);
    tdx.listeners.push({
      began: (call) => before.set(call, holders.totalOfCurrent),
      ended: (call, status) => {
        const held = before.get(call) as number; // it has begun
        before.delete(call);
        const keeps =
          status === MODULE_HALT || (call.name === 'TDH.VP.ENTER' && status === SUCCESS);
        if (keeps || holders.totalOfCurrent <= held) return;
        report.violated(`${call.name} lets go of its locks`, 'it holds some');
      },
    });
    tdx.locks.listeners.push({
      taken: (cell) => {
        const held = holders.of(cell);
        if (held === 1 || held === ALONE) return; // nobody else
        report.exercised();
        if (held < ALONE) return;
        report.violated('no holder that excludes another one', `${tdx.m.nameOf(cell)} was held`);
      },
      refused: () => report.exercised(),
      released: () => {},
    });
  },
};

const SEPT_CALLS = new Set<string>(SEPT_FUNCTIONS);

const T10: TdxRule = {
  id: 'T10',
  level: 'required',
  statement:
    'An entry changes under the locks that the table of the module version names, and no fewer.',
  source: 'locks.json (1.5); the base specification of 1.0 as quoted in the thread of January 2023',
  versions: ['*'],
  watch: (tdx, report) => {
    const holders = holdersOf(tdx);
    const missing = (call: Call): string[] => {
      // The table itself, not what this module makes of it. SEPT_CALLS are its keys.
      const { tree, entryLock } = septLocking(tdx.platform.version, call.name as SeptFunction);
      const word = (field: number): Cell => tdx.memory.word(call.tdr, field);
      // A host function without either has the TD to itself; a guest's, in 1.0, is a transaction (T12).
      const whole = tree === null && !entryLock && call.in.vcpu < 0;
      return [
        ...(tree !== null && !holders.isHeld(word(TD.SEPT_LOCK), tree) ? ['the tree'] : []),
        ...(entryLock && !holders.isHeld(call.entryCell, EXCLUSIVE) ? ['the entry'] : []),
        ...(whole && !holders.isHeld(tdx.pamt.lock(call.tdr, 0), EXCLUSIVE) ? ['the TDR'] : []),
      ];
    };
    tdx.listeners.push({
      entryWritten: (_cell, before, after, call) => {
        if (withoutLocks(before) === withoutLocks(after) || !SEPT_CALLS.has(call.name)) return;
        report.exercised();
        const absent = missing(call);
        if (absent.length > 0)
          report.violated(`${call.name} has locked ${absent.join(' and ')}`, 'it has not');
      },
    });
  },
};

const T11: TdxRule = {
  id: 'T11',
  level: 'required',
  statement:
    'BUSY is answered only where somebody holds the lock in a conflicting mode, or has changed the entry.',
  source: 'conflicts.json (yFailedLock); module notes §5',
  versions: ['*'],
  watch: (tdx, report) => {
    const calls = openCalls(tdx);
    const holders = holdersOf(tdx);
    /**
     * Calls that were last refused a lock which somebody held, or whose entry somebody else has
     * changed.
     */
    const grounded = new Set<Call>();
    tdx.m.clearOnReset(grounded);
    tdx.locks.listeners.push({
      taken: () => {},
      refused: (cell, mode) => {
        const current = calls.current as Call; // whoever tries a lock makes a call
        if (conflicts(cell, mode) || hasGone(current, cell)) grounded.add(current);
        else grounded.delete(current);
      },
      released: () => {},
    });
    /** Of a PAMT parent that it promotes, a call holds one share itself. */
    const conflicts = (cell: Cell, mode: Mode): boolean => {
      const isParent = (tdx.pamt.entryOf(cell)?.size ?? 0) > 0;
      const own = mode === EXCLUSIVE && isParent ? Math.min(holders.ofCurrent(cell), 1) : 0;
      const others = holders.of(cell) - own;
      return mode === EXCLUSIVE ? others > 0 : others >= ALONE;
    };
    /**
     * PROMOTE leaves the entries of the table that it frees locked, for those who are still on
     * their way there.
     */
    const hasGone = ({ tdr, in: { rcx }, level, table, entryCell }: Call, cell: Cell): boolean =>
      cell === entryCell && tableAt(tdx, tdr, gfnOf(rcx), level) !== table;
    tdx.listeners.push({
      entryWritten: (cell, before, after, call) => {
        if (withoutLocks(before) === withoutLocks(after)) return;
        for (const other of calls.on(cell)) if (other !== call) grounded.add(other);
      },
      ended: (call, status) => {
        const hasGround = grounded.delete(call);
        if (classOf(status) !== OPERAND_BUSY) return;
        report.exercised();
        if (hasGround) return;
        const seen =
          call.busyLock < 0
            ? 'nobody changed the entry'
            : `nobody held ${tdx.m.nameOf(call.busyLock)}`;
        report.violated(`${call.name} meets no conflict and is not busy`, seen);
      },
    });
  },
};

/**
 * Functions that have changed their entry when they succeed. (SEPT.ADD can be told to accept what
 * is there.)
 */
const UPDATES = new Set([
  'TDH.MEM.SEPT.REMOVE',
  'TDH.MEM.PAGE.ADD',
  'TDH.MEM.PAGE.AUG',
  'TDH.MEM.PAGE.REMOVE',
  'TDH.MEM.PAGE.PROMOTE',
  'TDH.MEM.PAGE.DEMOTE',
  'TDH.MEM.PAGE.RELOCATE',
  'TDH.MEM.RANGE.BLOCK',
  'TDH.MEM.RANGE.UNBLOCK',
  'TDG.MEM.PAGE.ACCEPT',
]);

const T12: TdxRule = {
  id: 'T12',
  level: 'required',
  statement:
    'No update of an entry is lost: nobody overwrites one it has not seen, or reports one it has not made.',
  source: 'module notes §4 (ACCEPT writes from its copy) and §5',
  versions: ['*'],
  watch: (tdx, report) => {
    const updated = new Set<Call>();
    tdx.m.clearOnReset(updated);
    tdx.listeners.push({
      entryWritten: (cell, before, after, call) => {
        if (withoutLocks(before) === withoutLocks(after) || cell !== call.entryCell) return;
        report.exercised();
        updated.add(call);
        if (withoutLocks(before) === withoutLocks(call.entry)) return;
        report.violated(
          `${call.name} writes over ${describeEntry(withoutLocks(call.entry))}, as it read it`,
          describeEntry(withoutLocks(before)),
        );
      },
      ended: (call, status) => {
        const hasUpdated = updated.delete(call);
        if (status !== SUCCESS || hasUpdated || !UPDATES.has(call.name) || call.exitReason >= 0)
          return;
        report.violated(`${call.name} has changed the entry`, 'it succeeds, and has not');
      },
    });
  },
};

const T13: TdxRule = {
  id: 'T13',
  // A host call has to meet an ACCEPT of the same page.
  level: 'stochastic',
  statement:
    'A host call that is refused an entry lock asks for priority: no guest takes the lock until it is let in.',
  source: 'conflicts.json, host-priority experiments; module notes §5',
  versions: ['1.5'],
  watch: (tdx, report) => {
    const calls = openCalls(tdx);
    /**
     * Entries that a refused host has asked for. A whole-entry write forgets the request, as it
     * does in the module.
     */
    const wanted = new Set<Cell>();
    tdx.m.clearOnReset(wanted);
    /** Whoever tries a lock makes a call. */
    const caller = (): Call => calls.current as Call;
    tdx.locks.listeners.push({
      taken: (cell) => {
        if (caller().in.vcpu >= 0 && wanted.has(cell)) {
          report.violated('the guest refused: a host asks', 'the guest took the entry lock');
        }
        wanted.delete(cell);
      },
      refused: (cell) => {
        if (caller().in.vcpu >= 0 || cell !== caller().entryCell) return;
        report.exercised();
        if ((tdx.m.peek(cell) & HOST_PRIORITY) === 0)
          report.violated('the host asks for priority', 'the bit is clear');
        wanted.add(cell);
      },
      released: () => {},
    });
    tdx.listeners.push({
      entryWritten: (cell, before, after) => {
        if (withoutLocks(before) === withoutLocks(after)) return;
        wanted.delete(cell);
        if (!isTable(after)) return;
        // the entries of a new table know of no request
        for (let i = 0; i < tdx.geometry.fanout; i++)
          wanted.delete(tdx.memory.word(pageOf(after), i));
      },
    });
  },
};

export const LOCK_RULES: readonly TdxRule[] = [T09, T10, T11, T12, T13];
