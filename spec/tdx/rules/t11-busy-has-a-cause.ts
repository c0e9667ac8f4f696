import type { Cell } from '../../machine/machine.ts';
import type { Call } from '../call.ts';
import { withoutLocks } from '../entry.ts';
import { EXCLUSIVE, type Mode } from '../locks.ts';
import { gfnOf } from '../operands.ts';
import { classOf, OPERAND_BUSY } from '../status.ts';
import { EXCLUSIVE_HOLD, lockHolders } from './lock-holders.ts';
import { openCalls } from './open-calls.ts';
import type { TdxRule } from './rule.ts';
import { tableAt } from './tree.ts';

export default {
  id: 'T11',
  level: 'required',
  statement:
    'A call returns OPERAND_BUSY only if another call holds the lock in a conflicting mode, or ' +
    'has changed the entry meanwhile.',
  source:
    'intel/tdx-module 1.5.01, src/common/helpers/tdx_locks.h: acquire_sharex_lock_hp(), ' +
    'sept_lock_acquire_host(); docs/module-notes.md#locks',
  intent: 'A VMM that excludes the conflicting calls and repeats a busy call has to succeed.',
  hint:
    'Find which lock refused the call, and why its word says "held": a missed release, or a ' +
    'reader count that was left raised.',
  versions: ['*'],
  watch: (tdx, report) => {
    const calls = openCalls(tdx);
    const holders = lockHolders(tdx);
    /** Without host locks an exchange compares the whole entry, a guest's lock included. */
    const exchanges = !tdx.locking('TDH.MEM.RANGE.BLOCK').entryLock;
    /** Calls with a cause: a held lock refused them last, or another call changed their entry. */
    const hindered = new Set<Call>();
    tdx.m.clearOnReset(hindered);
    tdx.locks.listeners.push({
      taken: () => {},
      refused: (cell, mode) => {
        const current = calls.current as Call; // only calls try locks
        if (conflicts(cell, mode) || hasGone(current, cell)) hindered.add(current);
        else hindered.delete(current);
      },
      released: () => {},
    });
    /** When a call promotes its shared hold of a PAMT parent, its own share is no conflict. */
    const conflicts = (cell: Cell, mode: Mode): boolean => {
      const isParent = (tdx.pamt.entryOf(cell)?.size ?? 0) > 0;
      const own = mode === EXCLUSIVE && isParent ? Math.min(holders.ofCurrent(cell), 1) : 0;
      const others = holders.of(cell) - own;
      return mode === EXCLUSIVE ? others > 0 : others >= EXCLUSIVE_HOLD;
    };
    /**
     * PROMOTE leaves the entries of the table that it frees locked, against calls on their way
     * there.
     */
    const hasGone = ({ tdr, in: { rcx }, level, table, entryCell }: Call, cell: Cell): boolean =>
      cell === entryCell && tableAt(tdx, tdr, gfnOf(rcx), level) !== table;
    tdx.listeners.push({
      entryWritten: (cell, before, after, call) => {
        if (!exchanges && withoutLocks(before) === withoutLocks(after)) return;
        for (const other of calls.on(cell)) if (other !== call) hindered.add(other);
      },
      ended: (call, status) => {
        const hasCause = hindered.delete(call);
        if (classOf(status) !== OPERAND_BUSY) return;
        report.exercised();
        if (hasCause) return;
        const seen =
          call.busyLock < 0
            ? 'no other call changed the entry'
            : `no other call held ${tdx.m.nameOf(call.busyLock)}`;
        report.violated(`${call.name} is not busy without a conflict`, seen);
      },
    });
  },
} satisfies TdxRule;
