/** B-03: the flush flag is assigned, not accumulated. */
import { MOST_RECOVERED } from '../tdp-mmu/nx.ts';
import { directMutant } from './mutant.ts';

export default directMutant({
  id: 'B-03',
  title: 'A flush pending for one table is lost when the next table needs none',
  source: 'Linux, commit 315f02c60d94',
  breaks: ['K20'],
  change: {
    *recoverSome(kvm) {
      let flush = false;
      for (let i = 0; i < MOST_RECOVERED; i++) {
        const table = yield* this.firstNxTable(kvm);
        flush = table >= 0 && (yield* this.recoverTable(kvm, table));
      }
      if (flush) yield* kvm.flushAll();
    },
  },
});
