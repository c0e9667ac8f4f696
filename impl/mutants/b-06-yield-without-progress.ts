/** B-06: the walk forgets where it last yielded, so that it may yield there again. */
import { tdpMmu } from '../tdp-mmu/index.ts';
import { directMutant } from './mutant.ts';

export default directMutant({
  id: 'B-06',
  title: 'A walk yields again without progress since it last yielded',
  source: 'Linux, commit ed5e484b79e8',
  breaks: ['K27'],
  change: {
    *condResched(kvm, walk, flush, shared) {
      walk.yieldedGfn = -1;
      return yield* tdpMmu.condResched.call(this, kvm, walk, flush, shared);
    },
  },
});
