import type { Cell } from '../../machine/machine.ts';
import type { Call } from '../call.ts';
import { HOST_PRIORITY, isTable, pageOf, withoutLocks } from '../entry.ts';
import { openCalls } from './open-calls.ts';
import type { TdxRule } from './rule.ts';

export default {
  id: 'T13',
  // A host call has to meet an ACCEPT of the same page.
  level: 'stochastic',
  statement:
    'A host call that is refused an entry lock sets the host-priority bit; until a host call ' +
    'takes the lock or the entry changes, no guest takes it.',
  source:
    'intel/tdx-module 1.5.01, src/common/helpers/tdx_locks.h: sept_lock_acquire_host(), ' +
    'sept_lock_acquire_guest(); docs/module-notes.md#entry-locks',
  intent:
    'Without priority a guest that repeats ACCEPT keeps the VMM from a page for as long as it ' +
    'wants.',
  hint:
    'Check bit 52 of the entry after the refusal, and that the guest side tests it before it ' +
    'takes the lock (finding F3).',
  versions: ['1.5'],
  watch: (tdx, report) => {
    const calls = openCalls(tdx);
    /**
     * Entries that a refused host call has requested. A change of the entry drops the request, as
     * it does in the module.
     */
    const requested = new Set<Cell>();
    tdx.m.clearOnReset(requested);
    /** The call that tries a lock: only calls do. */
    const caller = (): Call => calls.current as Call;
    tdx.locks.listeners.push({
      taken: (cell) => {
        if (caller().in.vcpu >= 0 && requested.has(cell)) {
          report.violated(
            'the guest refused while a host call has priority',
            'the guest took the entry lock',
          );
        }
        requested.delete(cell);
      },
      refused: (cell) => {
        if (caller().in.vcpu >= 0 || cell !== caller().entryCell) return;
        report.exercised();
        if ((tdx.m.peek(cell) & HOST_PRIORITY) === 0)
          report.violated('the host-priority bit set', 'the bit is clear');
        requested.add(cell);
      },
      released: () => {},
    });
    tdx.listeners.push({
      entryWritten: (cell, before, after) => {
        if (withoutLocks(before) === withoutLocks(after)) return;
        requested.delete(cell);
        if (!isTable(after)) return;
        // a new table has no requests in its entries
        for (let i = 0; i < tdx.geometry.fanout; i++)
          requested.delete(tdx.memory.word(pageOf(after), i));
      },
    });
  },
} satisfies TdxRule;
