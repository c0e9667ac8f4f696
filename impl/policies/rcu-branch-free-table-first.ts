/**
 * rcu-branch-free-table-first: rcu-branch-free whose callback removes the table before its children
 * (P6). It takes "zap the parent, the children are unreachable anyway" at its word.
 *
 * Why it fails: the module does not remove a table that has children, blocked or not.
 */
import { septRemove } from '../../spec/tdx/functions/sept-remove.ts';
import {
  blockBranch,
  expectSuccess,
  pruningBranches,
  removeBelow,
} from '../blocks/pruned-branch.ts';
import type { Policy } from '../vm/policy.ts';
import { mapping } from '../vm/vm.ts';
import { rcuBranchFree } from './rcu-branch-free.ts';

export const rcuBranchFreeTableFirst: Policy = {
  ...rcuBranchFree,
  name: 'rcu-branch-free-table-first',
  group: 'question',
  title: 'as rcu-branch-free, but the callback removes the table before its children',
  breaks: [
    {
      rule: 'S01',
      why: 'a table with children cannot be removed, blocked or not: EPT_PAGE_NOT_FREE',
    },
    { rule: 'K48', why: 'the callback removes the table without mmu_lock' },
  ],
  ...pruningBranches({
    prepare: blockBranch,
    *dispose(vm, branch) {
      yield* expectSuccess(vm, septRemove, mapping(vm, branch.gfn, branch.level));
      yield* removeBelow(vm, branch, expectSuccess, false);
    },
  }),
};

export default rcuBranchFreeTableFirst;
