/** B-06: where the walk last yielded is forgotten, so that it may yield there again. */
import { tdpMmu } from '../tdp-mmu/index.ts';
import { directMutant } from './mutant.ts';

export default directMutant({
  id: 'B-06',
  title: 'A walk yields without having got further since it last did',
  source: 'Linux, commit ed5e484b79e8',
  breaks: ['K27'],
  change: {
    *condResched(kvm, walk, flush, shared) {
      walk.yieldedGfn = -1;
      return yield* tdpMmu.condResched.call(this, kvm, walk, flush, shared);
    },
  },
});
