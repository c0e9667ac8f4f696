/** B-18: there is no chance to yield while all that is below an entry is disposed of. */
import { directMutant } from './mutant.ts';

export default directMutant({
  id: 'B-18',
  title: 'A root is zapped from the top, each subtree in one go',
  source: 'Linux, commit 8ca983631f3c',
  breaks: ['K27'],
  change: {
    *zapRoot(kvm, root, shared) {
      yield* this.zapRootLevel(kvm, root, shared, kvm.tables.rootLevel);
    },
  },
});
