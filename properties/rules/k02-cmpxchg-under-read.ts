/** K2 about the mirror, where an entry changes by way of FROZEN: a failed cmpxchg rereads it. */
import { TD_KINDS, type TdMonitor } from './rule.ts';
import { keyOfPlace, nameOfKey } from './state/entry-keys.ts';

export default {
  id: 'K2',
  level: 'stochastic',
  vms: TD_KINDS,
  watch: (vm, report) => {
    /** Per actor: the entry whose cmpxchg failed, as a cell, until the actor reads it. */
    const failedAt = new Map<number, number>();
    vm.m.clearOnReset(failedAt);
    vm.mirror.onCmpxchgFailed.push((table, index) => {
      report.exercised();
      const cell = vm.pages.word(table, index);
      const name = nameOfKey(keyOfPlace(vm, table, index));
      if (failedAt.get(vm.m.current) === cell) {
        report.violated(
          `mirror entry ${name} reread before the next cmpxchg`,
          'cmpxchg expects the old value again',
        );
      }
      failedAt.set(vm.m.current, cell);
    });
    vm.mirror.readers.push((table, index) => {
      if (failedAt.size > 0 && failedAt.get(vm.m.current) === vm.pages.word(table, index))
        failedAt.delete(vm.m.current);
    });
  },
} satisfies TdMonitor;
