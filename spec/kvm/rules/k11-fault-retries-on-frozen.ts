import { PerActor } from '../../machine/per-actor.ts';
import { FAULT_ANSWERS, RET_RETRY } from '../kvm.ts';
import { describeSpte, FROZEN } from '../spte.ts';
import { CurrentFaults } from './current-faults.ts';
import { isReachable } from './reachable-tables.ts';
import type { KvmRule } from './rule.ts';

export default {
  id: 'K11',
  level: 'stochastic',
  statement: 'A fault that meets a FROZEN SPTE maps nothing and is retried.',
  source: 'Linux, arch/x86/kvm/mmu/tdp_mmu.c: kvm_tdp_mmu_map()',
  intent:
    'Another task is in the middle of a change there: a mapping made now would be lost, or would ' +
    'be reachable after the table is freed.',
  hint:
    'Look at the walk in kvm_tdp_mmu_map(): is_frozen_spte() has to end it with RET_PF_RETRY ' +
    'before any cmpxchg.',
  versions: ['*'],
  watch: (kvm, report) => {
    const { m, mmuLock, tables } = kvm;
    const faults = new CurrentFaults(kvm);
    const met = new PerActor(m);
    tables.readers.push((_table, _index, spte) => {
      if (spte !== FROZEN || faults.mine === null || !mmuLock.holds(m.current)) return;
      met.mine = 1;
      report.exercised();
    });
    tables.listeners.push((table, _index, before, after) => {
      if (
        met.mine === 0 ||
        !mmuLock.holds(m.current) ||
        !isReachable(tables, table) ||
        before === after
      )
        return;
      report.violated(
        'a fault that has met FROZEN retried without a change',
        `it writes ${describeSpte(after)}`,
      );
    });
    mmuLock.listeners.push({
      acquired: () => {
        met.mine = 0;
      },
    });
    kvm.listeners.push({
      faultBegan: () => {
        met.mine = 0;
      },
      faultEnded: (_vcpu, _fault, result) => {
        if (met.mine !== 0 && result !== RET_RETRY)
          report.violated(
            'a fault that has met FROZEN retried',
            `it returns ${FAULT_ANSWERS[result]}`,
          );
      },
    });
  },
} satisfies KvmRule;
