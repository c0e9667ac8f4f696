/** B-18: the walk cannot yield while everything below an entry is disposed of. */
import { directMutant } from './mutant.ts';

export default directMutant({
  id: 'B-18',
  title: 'A root is zapped from the top, each subtree without yielding',
  source: 'Linux, commit 8ca983631f3c',
  breaks: ['K27'],
  change: {
    *zapRoot(kvm, root, shared) {
      yield* this.zapRootLevel(kvm, root, shared, kvm.tables.rootLevel);
    },
  },
});
