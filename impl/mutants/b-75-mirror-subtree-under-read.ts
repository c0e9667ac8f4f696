/** B-75: it is zapped like a subtree of a direct root, by one exchange of the entry above it. */
import { EMPTY, kindOfSpte, pageOfSpte, TABLE } from '../../spec/kvm/spte.ts';
import { freeTable } from '../blocks/resize.ts';
import { removePage, returnPages } from '../blocks/zap.ts';
import { exclusive } from '../policies/exclusive.ts';
import { mutant } from './mutant.ts';

export default mutant({
  id: 'B-75',
  title: 'A subtree of the mirror is removed with mmu_lock held for read',
  source: 'Linux without KVM_BUG_ON in __tdp_mmu_set_spte_atomic() and handle_removed_pt()',
  base: exclusive,
  breaks: ['K46', 'K48'],
  change: {
    *removeTable(vm, gfn) {
      const first = vm.tdx.geometry.align(gfn, 1);
      yield* vm.mmuLock.readLock();
      const { table, index, level, spte } = yield* vm.mirror.walk(gfn, 1);
      const isTable = level === 1 && kindOfSpte(spte) === TABLE;
      if (isTable && (yield* vm.mirror.cmpxchg(table, index, spte, EMPTY))) {
        for (let i = 0; i < vm.mirror.fanout; i++) {
          const place = {
            table: pageOfSpte(spte),
            index: i,
            level: 0,
            spte: yield* vm.mirror.write(pageOfSpte(spte), i, EMPTY),
          };
          if (place.spte !== EMPTY) yield* removePage(vm, place, first + i);
        }
        yield* vm.rcu.call('rcu', () => freeTable(vm, pageOfSpte(spte)));
      }
      yield* vm.mmuLock.readUnlock();
      yield* returnPages(vm, first, vm.mirror.span(1));
    },
  },
});
