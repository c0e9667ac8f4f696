/** B-75: it is zapped like a subtree of a direct root, by one exchange of the entry above it. */
import { EMPTY, kindOfSpte, pageOfSpte, TABLE } from '../../spec/kvm/spte.ts';
import type { Steps } from '../../spec/machine/step.ts';
import { childBranch, type PrunedBranch } from '../blocks/pruned-branch.ts';
import { freeTable } from '../blocks/resize.ts';
import { removePage, returnPages } from '../blocks/zap.ts';
import { exclusive } from '../policies/exclusive.ts';
import type { Vm } from '../vm/vm.ts';
import { mutant } from './mutant.ts';

export default mutant({
  id: 'B-75',
  title: 'A subtree of the mirror is removed with mmu_lock held for read',
  source: 'Linux without KVM_BUG_ON in __tdp_mmu_set_spte_atomic() and handle_removed_pt()',
  base: exclusive,
  breaks: ['K46', 'K48'],
  change: {
    *removeTable(vm, gfn, level) {
      const first = vm.tdx.geometry.align(gfn, level);
      yield* vm.mmuLock.readLock();
      const place = yield* vm.mirror.walk(gfn, level);
      const isTable = place.level === level && kindOfSpte(place.spte) === TABLE;
      if (isTable && (yield* vm.mirror.cmpxchg(place.table, place.index, place.spte, EMPTY)))
        yield* emptyBranch(vm, { table: pageOfSpte(place.spte), gfn: first, level });
      yield* vm.mmuLock.readUnlock();
      yield* returnPages(vm, first, vm.mirror.span(level));
    },
  },
});

/** Empties the tables of a branch, and has each freed by RCU. */
function* emptyBranch(vm: Vm, branch: PrunedBranch): Steps<void> {
  const { table, gfn, level } = branch;
  for (let i = 0; i < vm.mirror.fanout; i++) {
    const spte = yield* vm.mirror.write(table, i, EMPTY);
    const at = gfn + i * vm.mirror.span(level - 1);
    const child = childBranch(vm, branch, i, spte);
    if (child !== null) yield* emptyBranch(vm, child);
    else if (spte !== EMPTY) yield* removePage(vm, { table, index: i, level: level - 1, spte }, at);
  }
  yield* vm.rcu.call('rcu', () => freeTable(vm, table));
}
