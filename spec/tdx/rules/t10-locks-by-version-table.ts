import type { Call } from '../call.ts';
import { isTable, pageOf, withoutLocks, type Entry } from '../entry.ts';
import { EXCLUSIVE, SHARED, type Mode } from '../locks.ts';
import { gfnOf } from '../operands.ts';
import { TD } from '../td.ts';
import type { SeptFunction } from '../version.ts';
import { lockHolders } from './lock-holders.ts';
import type { TdxRule } from './rule.ts';
import { tablesTo } from './tree.ts';

export default {
  id: 'T10',
  level: 'required',
  statement:
    "A Secure EPT entry changes only while the call holds every lock that the module version's " +
    'lock table names.',
  source:
    '1.5: intel/tdx-module 1.5.01, src/common/helpers/helpers.c: ' +
    'lock_sept_check_and_walk_private_gpa(), docs/module-notes.md#lock-table; 1.0: the base ' +
    'specification of the module, as thread, message 16 quotes it; fine-grained: message 15',
  intent:
    'A function that changes an entry without its lock races the functions that rely on that lock.',
  hint: 'Compare the locks that the function takes with its row in septLocks of the version.',
  versions: ['*'],
  watch: (tdx, report) => {
    const holders = lockHolders(tdx);
    const rows = new Set(Object.keys(tdx.version.septLocks));
    const holdsTable = (table: number, mode: Mode): boolean =>
      holders.isHeld(tdx.pamt.lock(table, 0), mode);
    const holdsWay = (call: Call): boolean =>
      tablesTo(tdx, call.tdr, gfnOf(call.in.rcx), call.level).every((table) =>
        holdsTable(table, SHARED),
      );
    const holdsBelow = (entry: Entry): boolean =>
      !isTable(entry) || holdsTable(pageOf(entry), EXCLUSIVE);
    const missing = (call: Call, before: Entry, after: Entry): string[] => {
      // The table itself, not what this module makes of it. `rows` are its keys.
      const { tree, entryLock, path = false } = tdx.locking(call.name as SeptFunction);
      const absent: string[] = [];
      const treeLock = tdx.memory.word(call.tdr, TD.SEPT_LOCK);
      if (tree !== null && !holders.isHeld(treeLock, tree)) absent.push('the tree');
      if (entryLock && !holders.isHeld(call.entryCell, EXCLUSIVE)) absent.push('the entry');
      if (path && !holdsWay(call)) absent.push('the tables on its way');
      if (path && !(holdsBelow(before) && holdsBelow(after))) absent.push('the table below');
      // A host function with neither lock needs the TDR; a guest's, in 1.0, is a transaction (T12).
      const needsTdr = tree === null && !entryLock && !path && call.in.vcpu < 0;
      if (needsTdr && !holdsTable(call.tdr, EXCLUSIVE)) absent.push('the TDR');
      return absent;
    };
    tdx.listeners.push({
      entryWritten: (_cell, before, after, call) => {
        if (withoutLocks(before) === withoutLocks(after) || !rows.has(call.name)) return;
        report.exercised();
        const absent = missing(call, before, after);
        if (absent.length === 0) return;
        const locks = absent.join(' and ');
        report.violated(`${call.name} holds ${locks}`, `it does not hold ${locks}`);
      },
    });
  },
} satisfies TdxRule;
