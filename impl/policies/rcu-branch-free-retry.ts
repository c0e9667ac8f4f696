/**
 * rcu-branch-free-retry: rcu-branch-free whose callback retries while the module is busy (P6).
 *
 * Why it fails: waiting until the module is no longer busy does not make the children of a blocked
 * table visible.
 */
import { septRemove } from '../../spec/tdx/functions/sept-remove.ts';
import {
  blockBranch,
  pruningBranches,
  removeBelow,
  retryWhileBusy,
} from '../blocks/pruned-branch.ts';
import type { Policy } from '../vm/policy.ts';
import { mapping } from '../vm/vm.ts';
import { rcuBranchFree } from './rcu-branch-free.ts';

export const rcuBranchFreeRetry: Policy = {
  ...rcuBranchFree,
  name: 'rcu-branch-free-retry',
  group: 'question',
  title: 'as rcu-branch-free, but the callback retries while the module is busy',
  breaks: [
    { rule: 'S01', why: 'retrying does not make the children visible: EPT_WALK_FAILED' },
    { rule: 'K48', why: 'the callback removes the table without mmu_lock' },
  ],
  ...pruningBranches({
    prepare: blockBranch,
    *dispose(vm, branch) {
      yield* removeBelow(vm, branch, retryWhileBusy, false);
      yield* retryWhileBusy(vm, septRemove, mapping(vm, branch.gfn, branch.level));
    },
  }),
};

export default rcuBranchFreeRetry;
