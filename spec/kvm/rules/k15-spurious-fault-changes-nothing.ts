import { entryAt } from '../../machine/levels.ts';
import { permits } from '../kvm.ts';
import { describeSpte, isLeafSpte } from '../spte.ts';
import { CurrentFaults } from './current-faults.ts';
import { isReachable } from './reachable-tables.ts';
import type { KvmRule } from './rule.ts';

export default {
  id: 'K15',
  level: 'required',
  statement: 'A fault leaves a leaf that permits the access unchanged: the fault was spurious.',
  source: 'Linux, arch/x86/kvm/mmu/tdp_mmu.c: tdp_mmu_map_handle_target_level()',
  intent:
    'A rewrite can drop bits that another vCPU or the hardware has set since, and may need a ' +
    'flush that the fault does not make.',
  hint:
    'Look at the comparison before the install: an entry that allows the access has to give ' +
    'RET_PF_SPURIOUS.',
  versions: ['*'],
  watch: (kvm, report) => {
    const { tables } = kvm;
    const faults = new CurrentFaults(kvm);
    tables.readers.push((_table, _index, spte) => {
      if (faults.mine !== null && permits(spte, faults.mine)) report.exercised();
    });
    tables.listeners.push((table, index, before, after) => {
      if (
        faults.mine === null ||
        before === after ||
        !permits(before, faults.mine) ||
        !isLeafSpte(after)
      )
        return;
      if (!isReachable(tables, table)) return;
      report.violated(
        `entry ${entryAt(tables.gfnOf(table, index), tables.levelOf(table))} unchanged`,
        `${describeSpte(before)} -> ${describeSpte(after)}`,
      );
    });
  },
} satisfies KvmRule;
