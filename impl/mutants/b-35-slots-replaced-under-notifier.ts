/** B-35: the end does not find the slot that the start found, and the invalidation never ends. */
import { directMutant } from './mutant.ts';

export default directMutant({
  id: 'B-35',
  title: 'Memslots are replaced between the start and the end of a notifier',
  source: 'Linux 5.14, commit 52ac8b358b0c',
  breaks: ['K38'],
  change: {
    *installSlot(kvm, slot, state, flags, gfn) {
      yield* kvm.slots.install(slot, state, flags, gfn);
    },
  },
});
