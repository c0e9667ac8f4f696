/** B-13: a vCPU can be on a special root, which has no page. */
import { NO_MEMSLOT } from '../../spec/kvm/memslots.ts';
import { directMutant } from './mutant.ts';

export default directMutant({
  id: 'B-13',
  title: 'A fault checks whether a root without a page is obsolete',
  source: 'Linux, commit 18c841e1f411',
  breaks: ['K33'],
  change: {
    *isPageFaultStale(kvm, _vcpu, fault) {
      if (yield* kvm.roots.isObsolete(fault.root)) return true;
      return fault.slot !== NO_MEMSLOT && (yield* kvm.invalidation.isStale(fault.seq, fault.gfn));
    },
  },
});
