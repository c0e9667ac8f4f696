/**
 * rcu-branch-frozen: rcu-branch-free as far as it can be mended (P6). The branch stays FROZEN in
 * the mirror until the callback has removed it, and zaps of its range wait for the callback. The
 * callback removes what is below the blocked table without a block of its own, as the question
 * assumes: the TLBs were flushed when the branch was blocked.
 *
 * It satisfies the rules about guest, host and module on a module that locks only what a call uses,
 * and whose BLOCK of a table covers what is below it (fine-grained-covering). What it breaks on the
 * modules that exist: what is below a blocked table cannot be reached.
 */
import { freezingBranches, removeBranch } from '../blocks/frozen-branch.ts';
import { blockBranch, expectSuccess } from '../blocks/pruned-branch.ts';
import type { Policy } from '../vm/policy.ts';
import { rcuBranchFree } from './rcu-branch-free.ts';

export const rcuBranchFrozen: Policy = {
  ...rcuBranchFree,
  name: 'rcu-branch-frozen',
  group: 'what-if',
  title: 'freeze and block a branch; an RCU callback removes it, and thaws the entry',
  proposed: 'rcu-branch-free, mended for a module that does not exist; never proposed',
  breaks: [
    {
      rule: 'S01',
      why: 'what is below a blocked table cannot be reached, or is not blocked itself',
      versions: ['1.5.05', '1.5.01', '1.0', 'fine-grained', 'fine-grained-visible'],
    },
    { rule: 'K48', why: 'the callback removes the table without mmu_lock' },
  ],
  ...freezingBranches({
    prepare: blockBranch,
    dispose: (vm, branch) => removeBranch(vm, branch, expectSuccess),
  }),
};

export default rcuBranchFrozen;
