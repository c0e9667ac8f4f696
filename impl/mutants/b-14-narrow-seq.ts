/** B-14: after 2^31 invalidations no sample equals the counter, and every fault is stale. */
import { tdpMmu } from '../tdp-mmu/index.ts';
import { directMutant } from './mutant.ts';

export default directMutant({
  id: 'B-14',
  title: 'The sampled invalidation number is stored in a signed 32-bit integer',
  source: 'introduced by Linux commit a955cad84cda, removed by ba6e3fe25543',
  breaks: ['K37'],
  change: {
    *isPageFaultStale(kvm, vcpu, fault) {
      fault.seq |= 0;
      return yield* tdpMmu.isPageFaultStale.call(this, kvm, vcpu, fault);
    },
  },
});
