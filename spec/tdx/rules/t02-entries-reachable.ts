import { withoutLocks } from '../entry.ts';
import { gfnOf } from '../operands.ts';
import type { TdxRule } from './rule.ts';
import { tableAt } from './tree.ts';

export default {
  id: 'T02',
  level: 'required',
  statement:
    'An entry changes only in the table that the Secure EPT reaches for its GPA: a parent is ' +
    'added before its children and removed after them.',
  source:
    'ABI Reference 348551, TDH.MEM.SEPT.ADD leaf (leaf 3), TDH.MEM.SEPT.REMOVE leaf (leaf 30); ' +
    'intel/tdx-module 1.5.01, src/common/memory_handlers/sept_manager.c: secure_ept_walk(); ' +
    'docs/module-notes.md#walks',
  intent:
    'A change in a table that was unlinked meanwhile is lost, or lands in the entry of another ' +
    'GPA.',
  hint:
    'Find the call that freed the table, and the lock that should have kept it from overlapping ' +
    'this one (finding F6).',
  versions: ['*'],
  watch: (tdx, report) => {
    tdx.listeners.push({
      entryWritten: (_cell, before, after, call) => {
        if (withoutLocks(before) === withoutLocks(after)) return;
        report.exercised();
        const reached = tableAt(tdx, call.tdr, gfnOf(call.in.rcx), call.level);
        if (reached === call.table) return;
        const where = reached < 0 ? 'no table' : `page ${reached}`;
        report.violated(
          `${call.name} changes an entry of the tree`,
          `the entry is in page ${call.table}; the tree has ${where} there`,
        );
      },
    });
  },
} satisfies TdxRule;
