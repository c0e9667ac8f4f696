/**
 * rcu-branch-free-bottom-up: rcu-branch-free without the block, so that the callback can remove the
 * branch bottom-up, every ancestor mapped (P6a).
 *
 * Why it fails: the table stays visible, so other actors are busy in the tree, and faults walk into
 * a table that the mirror has forgotten.
 */
import { pruningBranches, removeBranchBottomUp } from '../blocks/pruned-branch.ts';
import type { Policy } from '../vm/policy.ts';
import { rcuBranchFree } from './rcu-branch-free.ts';

export const rcuBranchFreeBottomUp: Policy = {
  ...rcuBranchFree,
  name: 'rcu-branch-free-bottom-up',
  group: 'question',
  title: 'as rcu-branch-free, but without the block, and bottom-up',
  proposed: 'Christopherson, 23-26 Jan 2023 (P6); never adopted (variant P6a)',
  breaks: [
    {
      rule: 'S01',
      why: 'the calls need the tree lock exclusively, and faults elsewhere take it: OPERAND_BUSY',
    },
    { rule: 'K48', why: 'the callback removes the table without mmu_lock' },
  ],
  ...pruningBranches({ *prepare() {}, dispose: removeBranchBottomUp }),
};

export default rcuBranchFreeBottomUp;
