/** B-04: what the caller owes is not passed down, and so not paid at a yield. */
import { tdpMmu } from '../tdp-mmu/index.ts';
import { directMutant } from './mutant.ts';

export default directMutant({
  id: 'B-04',
  title: 'A zap that may yield does not know of the flush that its caller owes',
  source: 'Linux, commit 33a3164161fc',
  breaks: ['K20', 'K30'],
  change: {
    *zapLeafs(kvm, root, gfn, end, { mayYield, flush }) {
      return (
        (yield* tdpMmu.zapLeafs.call(this, kvm, root, gfn, end, { mayYield, flush: false })) ||
        flush
      );
    },
  },
});
