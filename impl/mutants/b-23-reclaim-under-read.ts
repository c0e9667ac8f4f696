/** B-23: two faults zap the same shadow page. */
import { tdpMmu } from '../tdp-mmu/index.ts';
import { directMutant } from './mutant.ts';

export default directMutant({
  id: 'B-23',
  title: 'A fault with mmu_lock held for read reclaims shadow pages',
  source: 'Linux, commit 47b0c2e4c220',
  breaks: ['K7'],
  change: {
    *map(kvm, vcpu, fault) {
      yield* kvm.shadow.makeAvailable();
      return yield* tdpMmu.map.call(this, kvm, vcpu, fault);
    },
  },
});
