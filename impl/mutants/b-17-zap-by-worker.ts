/** B-17: the memslot update completes while the old root still maps the slot. */
import { tdpMmu } from '../tdp-mmu/index.ts';
import { directMutant } from './mutant.ts';

export default directMutant({
  id: 'B-17',
  title: 'A worker zaps invalid roots, and the memslot update does not wait for it',
  source: 'Linux, commit 22b94c4b63eb, reverted by 0df9dab891ff',
  breaks: ['K32', 'K31'],
  change: {
    *zapInvalidatedRoots(kvm) {
      yield* kvm.rcu.call(
        'worker',
        function* (this: typeof tdpMmu): ReturnType<typeof tdpMmu.zapInvalidatedRoots> {
          yield* kvm.mmuLock.readLock();
          yield* tdpMmu.zapInvalidatedRoots.call(this, kvm);
          yield* kvm.mmuLock.readUnlock();
        }.bind(this),
      );
    },
  },
});
