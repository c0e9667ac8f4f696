/** B-34: no fault is ever in the range. */
import { firstHva } from '../platform/kvm-platform.ts';
import { directMutant } from './mutant.ts';

export default directMutant({
  id: 'B-34',
  title: 'The range of an invalidation is in user addresses, not GFNs',
  source: 'Linux 5.15 to 6.1, kvm_zap_gfn_range()',
  breaks: ['K38', 'K39'],
  change: {
    *beginZap(kvm, gfn, pages) {
      yield* kvm.invalidation.begin(gfn + firstHva(kvm), pages);
    },
  },
});
