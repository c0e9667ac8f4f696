/** B-01: each root is zapped with a flush flag of its own; they are only added up at the end. */
import { NO_PAGE } from '../../spec/machine/pages.ts';
import { directMutant } from './mutant.ts';

export default directMutant({
  id: 'B-01',
  title: 'A flush owed for an earlier root is lost when the walk of the next one yields',
  source: 'Linux, commit a835429cda91',
  breaks: ['K20', 'K22'],
  change: {
    *unmapGfnRange(kvm, slot, gfn, pages, mayYield) {
      let flush = false;
      let root = yield* this.nextRoot(kvm, NO_PAGE, false, false);
      while (root !== NO_PAGE) {
        const isOurs = kvm.roots.asIdOf(root) === kvm.slots.place(slot).asId;
        // the walk starts without the flush that is owed already, so that it yields without it
        const owed =
          isOurs && (yield* this.zapLeafs(kvm, root, gfn, gfn + pages, { mayYield, flush: false }));
        flush ||= owed;
        root = yield* this.nextRoot(kvm, root, false, false);
      }
      return flush;
    },
  },
});
