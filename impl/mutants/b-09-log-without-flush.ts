/** B-09: aging cleared W without a flush; such entries are skipped, and stay writable in TLBs. */
import { directMutant } from './mutant.ts';

export default directMutant({
  id: 'B-09',
  title: 'Dirty logging begins without a flush if no entry was changed',
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
