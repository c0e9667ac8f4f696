/**
 * prune-under-lock: what of the question's plan can be kept (P6d). As in KVM's TDP MMU, a branch
 * leaves the mirror by one write, and an RCU callback frees its mirror tables. But with mmu_lock
 * still held for write, all of it is removed from the Secure EPT, bottom-up: every leaf, and every
 * table once it is empty, by BLOCK, TRACK with a kick, REMOVE, with all of its ancestors mapped.
 *
 * It satisfies every rule, in trees of any height. The mirror may forget the whole branch at once,
 * since no fault reads it while mmu_lock is held for write; the Secure EPT may not.
 */
import { FROZEN, isPresent } from '../../spec/kvm/spte.ts';
import type { Steps } from '../../spec/machine/step.ts';
import { septRemove } from '../../spec/tdx/functions/sept-remove.ts';
import {
  blockBranch,
  childBranch,
  pruningUnderLock,
  type PrunedBranch,
} from '../blocks/pruned-branch.ts';
import { freeTable } from '../blocks/resize.ts';
import { withoutVcpus } from '../blocks/seamcalls.ts';
import { removePage } from '../blocks/zap.ts';
import { NO_DYNAMIC_PAMT, NO_LARGE_PAGES, type Policy } from '../vm/policy.ts';
import { mapping, type Vm } from '../vm/vm.ts';
import { frozenMirror } from './frozen-mirror.ts';

export const pruneUnderLock: Policy = {
  ...frozenMirror,
  name: 'prune-under-lock',
  group: 'proposal',
  title: 'prune a branch, and remove it bottom-up before mmu_lock is released',
  proposed: 'this project: what the answer to the question permits (P6d)',
  never: [...NO_LARGE_PAGES, ...NO_DYNAMIC_PAMT],
  ...pruningUnderLock(removeBranch),
};

/** Removes a branch from the Secure EPT, bottom-up. As in KVM its mirror entries stay FROZEN. */
function* removeBranch(vm: Vm, branch: PrunedBranch): Steps<void> {
  const { table, gfn } = branch;
  const level = branch.level - 1;
  for (let index = 0; index < vm.mirror.fanout; index++) {
    const spte = yield* vm.mirror.read(table, index);
    if (!isPresent(spte)) continue;
    yield* vm.mirror.write(table, index, FROZEN);
    const child = childBranch(vm, branch, index, spte);
    yield* child !== null
      ? removeBranch(vm, child)
      : removePage(vm, { table, index, level, spte }, gfn + index * vm.mirror.span(level));
  }
  yield* blockBranch(vm, branch);
  yield* withoutVcpus(vm, septRemove, mapping(vm, gfn, branch.level));
  yield* vm.rcu.call('rcu', () => freeTable(vm, table));
}

export default pruneUnderLock;
