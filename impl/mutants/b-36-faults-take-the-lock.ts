/** B-36: the invalidation yields to the faults that wait for it. */
import { directMutant } from './mutant.ts';

export default directMutant({
  id: 'B-36',
  title: 'A fault on a range under invalidation takes mmu_lock before it checks',
  source: 'Linux 6.8, commit d02c357e5bfa',
  breaks: ['K41'],
  change: {
    *seemsInvalidated() {
      return false;
    },
  },
});
