/** B-10: no reference keeps the root that the walk is in while mmu_lock is dropped. */
import { NO_PAGE } from '../../spec/machine/pages.ts';
import { directMutant } from './mutant.ts';

export default directMutant({
  id: 'B-10',
  title: 'A notifier that may yield walks the roots without references',
  source: 'Linux, commit 7533377215b6',
  breaks: ['K29', 'K31'],
  change: {
    *unmapGfnRange(kvm, slot, gfn, pages, mayYield) {
      let flush = false;
      for (
        let root = yield* kvm.roots.first();
        root !== NO_PAGE;
        root = yield* kvm.roots.after(root)
      ) {
        if (kvm.roots.asIdOf(root) !== kvm.slots.place(slot).asId) continue;
        flush = yield* this.zapLeafs(kvm, root, gfn, gfn + pages, { mayYield, flush });
      }
      return flush;
    },
  },
});
