/** B-81: only the spinlock orders tasks that hold mmu_lock for read. */
import { directMutant } from './mutant.ts';

export default directMutant({
  id: 'B-81',
  title: 'The list of possible NX huge pages changes without tdp_mmu_pages_lock',
  source: 'derived from tdp_mmu_unlink_sp()',
  breaks: ['K4', 'K14'],
  change: {
    *trackNx(kvm, table) {
      if (yield* kvm.nx.isDisallowed(table)) yield* kvm.nx.add(table);
    },
  },
});
