/** B-24: of two faults that count at once one is lost. */
import { tdpMmu } from '../tdp-mmu/index.ts';
import { directMutant } from './mutant.ts';

export default directMutant({
  id: 'B-24',
  title: 'Unsync pages are counted from a fault that holds mmu_lock for read',
  source: 'Linux, commit ce25681d59ff',
  breaks: ['K7'],
  change: {
    *mapTargetLevel(kvm, fault, walk) {
      if (fault.write) yield* kvm.shadow.markUnsync();
      return yield* tdpMmu.mapTargetLevel.call(this, kvm, fault, walk);
    },
  },
});
