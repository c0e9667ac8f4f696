/** B-25: the mark, which the zapper has cleared, is not checked again. */
import { directMutant } from './mutant.ts';

export default directMutant({
  id: 'B-25',
  title: 'A table that was zapped meanwhile enters the list of possible NX huge pages',
  source: 'Linux, commit 21a36ac6b6c7',
  breaks: ['K14', 'K5'],
  change: {
    *trackNx(kvm, table) {
      yield* kvm.pagesLock.lock();
      yield* kvm.nx.add(table);
      yield* kvm.pagesLock.unlock();
    },
  },
});
