/**
 * rcu-branch-free-unblock: rcu-branch-free whose callback unblocks the table first, and then
 * removes the branch bottom-up (P6b).
 *
 * Why it fails: the table is visible again, so other actors are busy in the tree, and faults walk
 * into a table that the mirror has forgotten.
 */
import { rangeUnblock } from '../../spec/tdx/functions/range-unblock.ts';
import {
  blockBranch,
  expectSuccess,
  pruningBranches,
  removeBranchBottomUp,
} from '../blocks/pruned-branch.ts';
import type { Policy } from '../vm/policy.ts';
import { mapping } from '../vm/vm.ts';
import { rcuBranchFree } from './rcu-branch-free.ts';

export const rcuBranchFreeUnblock: Policy = {
  ...rcuBranchFree,
  name: 'rcu-branch-free-unblock',
  group: 'question',
  title: 'as rcu-branch-free, but the callback unblocks the table first',
  proposed: 'Christopherson, 23-26 Jan 2023 (P6); never adopted (variant P6b)',
  breaks: [
    {
      rule: 'S01',
      why: 'the calls need the tree lock exclusively, and faults elsewhere take it: OPERAND_BUSY',
    },
    { rule: 'K48', why: 'the callback removes the table without mmu_lock' },
  ],
  ...pruningBranches({
    prepare: blockBranch,
    *dispose(vm, branch) {
      yield* expectSuccess(vm, rangeUnblock, mapping(vm, branch.gfn, branch.level));
      yield* removeBranchBottomUp(vm, branch);
    },
  }),
};

export default rcuBranchFreeUnblock;
