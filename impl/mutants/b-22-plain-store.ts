/** B-22: A, D and W that were set since the entry was read are lost. */
import { directMutant } from './mutant.ts';

export default directMutant({
  id: 'B-22',
  title: 'Plain stores write entries that hardware and fast page faults change',
  source: 'Linux, commit ba3a6120a4e7',
  breaks: ['K3'],
  change: {
    *setSpte(kvm, walk, value) {
      yield* kvm.tables.store(walk.table, walk.index, walk.spte, value);
      yield* this.handleChanged(kvm, walk.spte, value, false);
      walk.spte = value;
    },
  },
});
