/** B-82: the table may have been freed. */
import { tdpMmu } from '../tdp-mmu/index.ts';
import { directMutant } from './mutant.ts';

export default directMutant({
  id: 'B-82',
  title: 'A walk continues where it was after it has dropped mmu_lock',
  source: 'derived from tdp_mmu_iter_cond_resched()',
  breaks: ['K6', 'K5'],
  change: {
    *condResched(kvm, walk, flush, shared) {
      yield* tdpMmu.condResched.call(this, kvm, walk, flush, shared);
      walk.yielded = false;
      return false;
    },
  },
});
