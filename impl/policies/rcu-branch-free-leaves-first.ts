/**
 * rcu-branch-free-leaves-first: rcu-branch-free that removes the leaves and returns their pages
 * with mmu_lock held for write, while the branch is mapped in the Secure EPT, and leaves only
 * tables to the RCU callback (P6c). If leaves were all that is in the way, this would be enough.
 *
 * Why it fails: a table in the middle of the branch is below the blocked entry, too, so that it can
 * no longer be removed. Of a branch without tables in it only the top one is left. Then a fault
 * elsewhere in the tree makes the callback's call busy, and a fault below meets a table that the
 * mirror has forgotten.
 */
import { FROZEN, kindOfSpte, LEAF } from '../../spec/kvm/spte.ts';
import type { Steps } from '../../spec/machine/step.ts';
import { septRemove } from '../../spec/tdx/functions/sept-remove.ts';
import {
  blockBranch,
  childBranch,
  expectSuccess,
  freeBranch,
  pruningUnderLock,
  removeBelow,
  type PrunedBranch,
} from '../blocks/pruned-branch.ts';
import { removePage } from '../blocks/zap.ts';
import type { Policy } from '../vm/policy.ts';
import { mapping, type Vm } from '../vm/vm.ts';
import { rcuBranchFree } from './rcu-branch-free.ts';

export const rcuBranchFreeLeavesFirst: Policy = {
  ...rcuBranchFree,
  name: 'rcu-branch-free-leaves-first',
  group: 'question',
  title: 'as rcu-branch-free, but the leaves are removed before, under mmu_lock',
  proposed: 'Christopherson, 23-26 Jan 2023 (P6); never adopted (variant P6c)',
  breaks: [
    {
      rule: 'S01',
      why: 'a blocked table hides the tables below it, and faults elsewhere hold the tree lock',
    },
    { rule: 'K48', why: 'the callback removes the tables without mmu_lock' },
  ],
  ...pruningUnderLock(function* (vm, branch) {
    yield* removeLeaves(vm, branch);
    yield* blockBranch(vm, branch);
    yield* vm.rcu.call('rcu', function* () {
      yield* removeBelow(vm, branch, expectSuccess, false);
      yield* expectSuccess(vm, septRemove, mapping(vm, branch.gfn, branch.level));
      yield* freeBranch(vm, branch);
    });
  }),
};

/** Removes every leaf of a branch from the Secure EPT; their mirror entries stay FROZEN. */
function* removeLeaves(vm: Vm, branch: PrunedBranch): Steps<void> {
  const { table, gfn } = branch;
  const level = branch.level - 1;
  for (let index = 0; index < vm.mirror.fanout; index++) {
    const spte = yield* vm.mirror.read(table, index);
    const child = childBranch(vm, branch, index, spte);
    if (child !== null) yield* removeLeaves(vm, child);
    if (kindOfSpte(spte) !== LEAF) continue;
    yield* vm.mirror.write(table, index, FROZEN);
    yield* removePage(vm, { table, index, level, spte }, gfn + index * vm.mirror.span(level));
  }
}

export default rcuBranchFreeLeavesFirst;
