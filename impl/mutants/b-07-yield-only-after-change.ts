/** B-07: a walk over a sparse range never offers to yield. */
import { isLeafSpte } from '../../spec/kvm/spte.ts';
import { tdpMmu } from '../tdp-mmu/index.ts';
import { directMutant } from './mutant.ts';

export default directMutant({
  id: 'B-07',
  title: 'A walk considers yielding only at entries that it changes',
  source: 'Linux, commit 1af4a96025b3',
  breaks: ['K27'],
  change: {
    *condResched(kvm, walk, flush, shared) {
      return (
        isLeafSpte(walk.spte) && (yield* tdpMmu.condResched.call(this, kvm, walk, flush, shared))
      );
    },
  },
});
