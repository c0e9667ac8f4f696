import { PerActor } from '../../machine/per-actor.ts';
import { gfnNames, rangeBits } from './gfn-sets.ts';
import type { KvmRule } from './rule.ts';

export default {
  id: 'K39',
  level: 'required',
  statement:
    'A zap inside KVM whose caller relies on nothing mapping the range afterwards is an ' +
    'invalidation of that range.',
  source: 'Linux, arch/x86/kvm/mmu/mmu.c: kvm_zap_gfn_range(); commit edb298c663fc',
  intent:
    'Without it a fault that looked its page up before the zap installs the mapping again after ' +
    'the zap.',
  hint:
    'Look at kvm_zap_gfn_range() and its like: kvm_mmu_invalidate_begin() and _end() around the ' +
    'zap, with the whole range.',
  versions: ['*'],
  watch: ({ invalidation, listeners, m }, report) => {
    const begun = new PerActor(m);
    invalidation.listeners.push({
      began: (gfn, pages) => {
        begun.mine |= rangeBits(gfn, pages);
      },
    });
    listeners.push({
      promised: (what) => {
        if (what === 'zap') begun.mine = 0;
      },
      kept: (what, _asId, gfn, pages) => {
        if (what !== 'zap') return;
        report.exercised();
        const missed = rangeBits(gfn, pages) & ~begun.mine;
        if (missed !== 0)
          report.violated(
            `an invalidation of ${gfnNames(rangeBits(gfn, pages))}`,
            `none of ${gfnNames(missed)}`,
          );
      },
    });
  },
} satisfies KvmRule;
