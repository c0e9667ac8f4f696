/** B-19: the RCU read section is missing. */
import { directMutant } from './mutant.ts';

export default directMutant({
  id: 'B-19',
  title: 'A walk with mmu_lock held for read uses tables outside an RCU read section',
  source: 'derived from Linux commits 14f6fec2e8e0 and 70fb3e41a97a',
  breaks: ['K5'],
  change: {
    *recoverNx(kvm) {
      yield* kvm.srcu.readLock();
      yield* kvm.mmuLock.readLock();
      yield* this.recoverSome(kvm);
      yield* kvm.mmuLock.readUnlock();
      yield* kvm.srcu.readUnlock();
    },
  },
});
