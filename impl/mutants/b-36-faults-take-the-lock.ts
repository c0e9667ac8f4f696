/** B-36: the invalidation yields to the very faults that wait for it. */
import { directMutant } from './mutant.ts';

export default directMutant({
  id: 'B-36',
  title: 'Faults on a range that is being invalidated take mmu_lock only to find that out',
  source: 'Linux 6.8, commit d02c357e5bfa',
  breaks: ['K41'],
  change: {
    *seemsInvalidated() {
      return false;
    },
  },
});
