/** B-24: if two faults count at the same time, one increment is lost. */
import { tdpMmu } from '../tdp-mmu/index.ts';
import { directMutant } from './mutant.ts';

export default directMutant({
  id: 'B-24',
  title: 'A fault with mmu_lock held for read counts unsync pages',
  source: 'Linux, commit ce25681d59ff',
  breaks: ['K7'],
  change: {
    *mapTargetLevel(kvm, fault, walk) {
      if (fault.write) yield* kvm.shadow.markUnsync();
      return yield* tdpMmu.mapTargetLevel.call(this, kvm, fault, walk);
    },
  },
});
