/** B-32: a fault on the neighbour maps a huge page over the page that changes. */
import { directMutant } from './mutant.ts';

export default directMutant({
  id: 'B-32',
  title: 'A conversion does not invalidate huge pages that could cover the GFN',
  source: 'Linux 6.8 to 6.15, commit 9129633d568e',
  breaks: ['K40', 'K43'],
  change: {
    *beginConversion(kvm, first) {
      yield* kvm.invalidation.begin(first, 1);
      return { first, pages: 1 };
    },
  },
});
