/** B-42: by the time of the cmpxchg the entry can map another GFN, and look the same. */
import { isLeafSpte, MMU_WRITABLE, WRITABLE } from '../../spec/kvm/spte.ts';
import { tdpMmu } from '../tdp-mmu/index.ts';
import { directMutant } from './mutant.ts';

export default directMutant({
  id: 'B-42',
  title: 'A fast page fault sets W in an entry of an indirect table',
  source: 'Linux, fast_page_fault() (locking.rst §2: direct shadow pages only)',
  breaks: ['K1', 'K3'],
  change: {
    *shadowFault(kvm, vcpu, gfn) {
      const { table, tables } = kvm.shadow;
      const index = kvm.shadow.indexOf(gfn);
      const spte = yield* tables.read(table, index);
      const isFast = isLeafSpte(spte) && (spte & MMU_WRITABLE) !== 0 && (spte & WRITABLE) === 0;
      if (isFast && (yield* tables.cmpxchg(table, index, spte, spte | WRITABLE))) return;
      yield* tdpMmu.shadowFault.call(this, kvm, vcpu, gfn);
    },
  },
});
