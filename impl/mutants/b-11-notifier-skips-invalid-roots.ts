/** B-11: the notifier's walk is limited to valid roots. */
import { tdpMmu } from '../tdp-mmu/index.ts';
import { directMutant } from './mutant.ts';

export default directMutant({
  id: 'B-11',
  title: 'A notifier skips roots that are invalid but not zapped yet',
  source: 'Linux, commit d62007edf01f',
  breaks: ['K22', 'K34'],
  change: {
    *nextRoot(kvm, previous, validOnly, shared) {
      // only a notifier walks all roots with mmu_lock held for write
      return yield* tdpMmu.nextRoot.call(this, kvm, previous, validOnly || !shared, shared);
    },
  },
});
