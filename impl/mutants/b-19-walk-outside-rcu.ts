/** B-19: the read section is missing. */
import { MOST_RECOVERED } from '../tdp-mmu/nx.ts';
import { directMutant } from './mutant.ts';

export default directMutant({
  id: 'B-19',
  title: 'A walk with mmu_lock held for read keeps table pointers outside RCU',
  source: 'derived from Linux commits 14f6fec2e8e0 and 70fb3e41a97a',
  breaks: ['K5'],
  change: {
    *recoverNx(kvm) {
      yield* kvm.srcu.readLock();
      yield* kvm.mmuLock.readLock();
      for (let i = 0; i < MOST_RECOVERED; i++) {
        yield* kvm.pagesLock.lock();
        const table = yield* kvm.nx.first();
        yield* kvm.pagesLock.unlock();
        if (table >= 0 && (yield* this.recoverTable(kvm, table))) yield* kvm.flushAll();
      }
      yield* kvm.mmuLock.readUnlock();
      yield* kvm.srcu.readUnlock();
    },
  },
});
