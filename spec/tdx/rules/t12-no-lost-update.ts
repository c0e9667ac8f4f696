import type { Call } from '../call.ts';
import { describeEntry, withoutLocks } from '../entry.ts';
import { withoutProgress } from '../sept.ts';
import { SUCCESS } from '../status.ts';
import type { TdxRule } from './rule.ts';

/** Functions that have changed their entry when they succeed. SEPT.ADD may accept what it finds. */
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

/** Splits a page that a guest has accepted in part, and drops the progress on purpose. */
const DEMOTE = 'TDH.MEM.PAGE.DEMOTE';

export default {
  id: 'T12',
  level: 'required',
  statement:
    'No update of an entry is lost: a call overwrites only the value that it read last, and ' +
    'reports success only if it has written.',
  source:
    'intel/tdx-module 1.5.01, src/td_dispatcher/vm_exits/tdg_mem_page_accept.c: ' +
    'tdg_mem_page_accept(); src/common/helpers/tdx_locks.h: sept_lock_acquire_host(), ' +
    'sept_lock_acquire_guest(); docs/module-notes.md#accept',
  intent:
    'A lost update makes the VMM and the guest disagree about which pages are blocked or mapped.',
  hint:
    'Check that the function rereads the entry after it has the lock, and that its write or ' +
    'transaction did not fail unnoticed.',
  versions: ['*'],
  watch: (tdx, report) => {
    const updated = new Set<Call>();
    tdx.m.clearOnReset(updated);
    tdx.listeners.push({
      entryWritten: (cell, before, after, call) => {
        if (withoutLocks(before) === withoutLocks(after) || cell !== call.entryCell) return;
        report.exercised();
        updated.add(call);
        const seen = call.name === DEMOTE ? withoutProgress(tdx, before, call.level) : before;
        if (withoutLocks(seen) === withoutLocks(call.entry)) return;
        report.violated(
          `${call.name} overwrites ${describeEntry(withoutLocks(call.entry))}, which it read`,
          describeEntry(withoutLocks(before)),
        );
      },
      ended: (call, status) => {
        const hasUpdated = updated.delete(call);
        if (status !== SUCCESS || hasUpdated || !UPDATES.has(call.name) || call.exitReason >= 0)
          return;
        report.violated(`${call.name} changes the entry`, 'it succeeds without a change');
      },
    });
  },
} satisfies TdxRule;
