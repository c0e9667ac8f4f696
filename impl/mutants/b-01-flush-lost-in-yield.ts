/** B-01: each root is zapped with its own flush flag; the flags are only combined at the end. */
import { NO_PAGE } from '../../spec/machine/pages.ts';
import { directMutant } from './mutant.ts';

export default directMutant({
  id: 'B-01',
  title: 'A flush pending for one root is lost when the walk of the next root yields',
  source: 'Linux, commit a835429cda91',
  breaks: ['K20', 'K22'],
  change: {
    *unmapGfnRange(kvm, slot, gfn, pages, mayYield) {
      let flush = false;
      let root = yield* this.nextRoot(kvm, NO_PAGE, false, false);
      while (root !== NO_PAGE) {
        const isOurs = kvm.roots.asIdOf(root) === kvm.slots.place(slot).asId;
        // the walk starts without the pending flush, so that it yields without flushing
        const zapped =
          isOurs && (yield* this.zapLeafs(kvm, root, gfn, gfn + pages, { mayYield, flush: false }));
        flush ||= zapped;
        root = yield* this.nextRoot(kvm, root, false, false);
      }
      return flush;
    },
  },
});
