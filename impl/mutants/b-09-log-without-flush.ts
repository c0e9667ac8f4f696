/** B-09: what aging took W from without a flush is passed over, and stays writable in TLBs. */
import { directMutant } from './mutant.ts';

export default directMutant({
  id: 'B-09',
  title: 'Logging begins without a flush when no entry was changed',
  source: 'Linux, commit b64d740ea7dd',
  breaks: ['K24'],
  change: {
    *applyLog(kvm, slot) {
      yield* kvm.mmuLock.readLock();
      yield* this.splitHugePages(kvm, slot);
      const changed = yield* this.writeProtectSlot(kvm, slot);
      yield* kvm.mmuLock.readUnlock();
      if (changed) yield* kvm.flushRange(kvm.slots.gfnOf(slot), kvm.slots.place(slot).pages);
    },
  },
});
