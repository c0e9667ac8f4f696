import { PerActor } from '../../machine/per-actor.ts';
import type { KvmRule } from './rule.ts';

export default {
  id: 'K30',
  level: 'required',
  statement:
    'A walk yields only if its caller allows it: a notifier that may not sleep does not yield.',
  source:
    'Linux, arch/x86/kvm/mmu/tdp_mmu.c: tdp_mmu_zap_leafs() (can_yield); virt/kvm/kvm_main.c: ' +
    'kvm_mmu_notifier_invalidate_range_start()',
  intent: 'The OOM reaper calls notifiers where sleeping can deadlock.',
  hint: 'Follow may_block from the notifier to the walk: every helper has to pass it on.',
  versions: ['*'],
  watch: ({ listeners, m }, report) => {
    const mayNotSleep = new PerActor(m);
    listeners.push({
      promised: (what) => {
        if (what !== 'unmap-atomic') return;
        mayNotSleep.mine = 1;
        report.exercised();
      },
      kept: (what) => {
        if (what === 'unmap-atomic') mayNotSleep.mine = 0;
      },
      yielding: (walk) => {
        if (mayNotSleep.mine !== 0)
          report.violated(
            'no yield, as the notifier may not sleep',
            `it yields at GFN ${walk.nextGfn}`,
          );
      },
    });
  },
} satisfies KvmRule;
