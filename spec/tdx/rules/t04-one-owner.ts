import type { Cell } from '../../machine/machine.ts';
import type { Call } from '../call.ts';
import { describeEntry, withoutLocks } from '../entry.ts';
import { gfnOf } from '../operands.ts';
import { openCalls } from './open-calls.ts';
import type { TdxRule } from './rule.ts';
import { tdsOf } from './tds.ts';
import { disagreement, tableAt, treeDisagreement } from './tree.ts';

export default {
  id: 'T04',
  level: 'required',
  statement:
    'A page has one owner and one use: when no call is in flight, PAMT agrees with the Secure ' +
    'EPT about every page.',
  source:
    'intel/tdx-module 1.5.01, src/common/memory_handlers/pamt_manager.c: pamt_walk(), ' +
    'pamt_implicit_get(); src/common/helpers/helpers.c: check_and_lock_free_range_hpa(); ' +
    'docs/module-notes.md#new-pages',
  intent:
    'PAMT is what keeps a page from having two uses: a page that two entries map leaks data ' +
    'between TDs or to the host.',
  hint:
    "Check the order of the function's writes to the entry and to PAMT, and which of them an " +
    'early return leaves out.',
  versions: ['*'],
  watch: (tdx, report) => {
    const calls = openCalls(tdx);
    /** Entries changed since the last quiet moment, with the last call that changed each. */
    const changed = new Map<Cell, Call>();
    tdx.m.clearOnReset(changed);
    tdx.listeners.push({
      entryWritten: (cell, before, after, call) => {
        if (withoutLocks(before) !== withoutLocks(after)) changed.set(cell, call);
      },
      ended: () => {
        if (!calls.quiet || changed.size === 0) return;
        for (const [cell, call] of changed) {
          const { table, level, tdr } = call;
          // an entry of a table that was removed meanwhile maps nothing
          if (tableAt(tdx, tdr, gfnOf(call.in.rcx), level) !== table) continue;
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
} satisfies TdxRule;
