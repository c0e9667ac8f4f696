/** B-32: a fault on the neighbour maps a huge page over the page that is changing. */
import { directMutant } from './mutant.ts';

export default directMutant({
  id: 'B-32',
  title:
    'A conversion invalidates only what changes, not the huge pages that could be installed over it',
  source: 'Linux 6.8 to 6.15, commit 9129633d568e',
  breaks: ['K40', 'K43'],
  change: {
    *beginConversion(kvm, first) {
      yield* kvm.invalidation.begin(first, 1);
      return { first, pages: 1 };
    },
  },
});
