/** B-04: the caller's pending flush is not passed down, so a yield does not flush. */
import { tdpMmu } from '../tdp-mmu/index.ts';
import { directMutant } from './mutant.ts';

export default directMutant({
  id: 'B-04',
  title: "A zap that yields does not do its caller's pending flush",
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
