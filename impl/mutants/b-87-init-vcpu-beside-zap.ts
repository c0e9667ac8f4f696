/**
 * B-87: INIT_VCPU holds every lock of the ioctls, and not mmu_lock; VP.INIT of version 1 takes the
 * TDR exclusively, and the zap for a punched hole meets it (module 1.5.05).
 */
import { allLocks, createVcpu, holding } from '../blocks/build.ts';
import { upstream619 } from '../policies/upstream-6.19.ts';
import { mutant } from './mutant.ts';

export default mutant({
  id: 'B-87',
  title: 'A hole is punched while VP.INIT holds the TDR exclusively: the zap meets BUSY twice',
  source:
    'fixed by commit 9a89894f30d5 (6.19); 20251028002824.1470939-1-rick.p.edgecombe@intel.com',
  base: upstream619,
  breaks: ['S01'],
  change: {
    *initVcpu(vm, vcpu) {
      yield* holding(allLocks(vm), () => createVcpu(vm, vcpu));
    },
  },
});
