/** B-77: the invalidation number is not compared. */
import { directMutant } from './mutant.ts';

export default directMutant({
  id: 'B-77',
  title: 'A fault maps the page that it looked up, whatever was invalidated since',
  source: 'derived from handle_changed_spte()',
  breaks: ['K8', 'K15', 'K37'],
  change: {
    *isPageFaultStale(kvm, _vcpu, { root }) {
      return root >= 0 && (yield* kvm.roots.isObsolete(root));
    },
  },
});
