/** B-21: only the bit is checked, which FROZEN and MMIO entries can have as well. */
import { Walk } from '../../spec/kvm/iterator.ts';
import { NO_PAGE } from '../../spec/machine/pages.ts';
import { reportingBit } from '../tdp-mmu/dirty-log.ts';
import { directMutant } from './mutant.ts';

export default directMutant({
  id: 'B-21',
  title: 'Clearing dirty bits changes entries that are not present',
  source: 'Linux, commit 3354ef5a592d',
  breaks: ['K9', 'K10'],
  change: {
    *writeProtectSlot(kvm, slot) {
      const first = kvm.slots.gfnOf(slot);
      let root = yield* this.nextRoot(kvm, NO_PAGE, true, true);
      for (; root !== NO_PAGE; root = yield* this.nextRoot(kvm, root, true, true)) {
        if (kvm.roots.asIdOf(root) !== kvm.slots.place(slot).asId) continue;
        yield* kvm.rcu.readLock();
        const walk = new Walk(kvm.tables, {
          root,
          first,
          end: first + kvm.slots.place(slot).pages,
        });
        while (yield* walk.next()) {
          if (yield* this.condResched(kvm, walk, false, true)) continue;
          // no check that the entry is a leaf
          const bit = reportingBit(kvm, walk);
          while (
            (walk.spte & bit) !== 0 &&
            !(yield* this.setSpteAtomic(kvm, walk, walk.spte & ~bit))
          );
        }
        yield* kvm.rcu.readUnlock();
      }
      return true;
    },
  },
});
