import { gfnNames, rangeBits } from './gfn-sets.ts';
import { clearOnFlush, pendingFlushes } from './pending-flushes.ts';
import type { KvmRule } from './rule.ts';

export default {
  id: 'K21',
  level: 'required',
  statement: 'A ranged flush covers the GFNs of every SPTE that was zapped.',
  source: 'Linux, commit 574c3c55e969',
  intent: 'Translations outside the range survive, and vCPUs write pages that KVM has given back.',
  hint:
    'Compare the range that is flushed with what the zap removed: the GFN and the level are ' +
    'those of each removed entry, not of the walk.',
  versions: ['*'],
  watch: (kvm, report) => {
    const pending = pendingFlushes(kvm);
    kvm.listeners.push({
      flushed: (gfn, pages) => {
        if (pending.mine === 0) return;
        report.exercised();
        const missed = pending.mine & ~rangeBits(gfn, pages);
        if (missed !== 0)
          report.violated(
            `${gfnNames(pending.mine)} flushed`,
            `the range leaves ${gfnNames(missed)} out`,
          );
      },
    });
    clearOnFlush(kvm, pending);
  },
} satisfies KvmRule;
