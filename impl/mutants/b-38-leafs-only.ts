/** B-38: shadow pages stay accounted in a slot that is freed. */
import { NO_PAGE } from '../../spec/machine/pages.ts';
import { directMutant } from './mutant.ts';

export default directMutant({
  id: 'B-38',
  title: 'Deleting a memslot zaps its leaves, and no other reference to it',
  source: 'Linux 5.3 and 6.12-rc',
  breaks: ['K50', 'K22'],
  change: {
    *zapAllLocked(kvm) {
      yield* kvm.mmuLock.writeLock();
      let flush = false;
      let root = yield* this.nextRoot(kvm, NO_PAGE, true, false);
      for (; root !== NO_PAGE; root = yield* this.nextRoot(kvm, root, true, false)) {
        flush = yield* this.zapLeafs(kvm, root, 0, kvm.maxGfn, { mayYield: true, flush });
      }
      if (flush) yield* kvm.flushAll();
      yield* kvm.mmuLock.writeUnlock();
    },
  },
});
