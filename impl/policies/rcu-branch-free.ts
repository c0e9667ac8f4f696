/**
 * rcu-branch-free: the policy that the question is about (P6; messages 11, 13 and 15 of the
 * thread). Never adopted.
 *
 * A branch is pruned from the mirror and its top entry blocked; once every vCPU has left the old
 * epoch, the branch is handed to an RCU callback. The callback, which then holds the only
 * reference, acts as if it held mmu_lock for write, and disposes of the children and of the table,
 * expecting every call to succeed.
 *
 * Why it fails, in any module version: a blocked table hides its children from the module itself,
 * so the callback can neither block nor remove them (EPT_WALK_FAILED), nor remove the table above
 * them (EPT_PAGE_NOT_FREE). In any case the calls need the tree lock exclusively, while faults
 * elsewhere in the tree take it: OPERAND_BUSY, outside mmu_lock, so the callback cannot make the
 * other side wait.
 */
import { septRemove } from '../../spec/tdx/functions/sept-remove.ts';
import {
  blockBranch,
  expectSuccess,
  pruningBranches,
  removeBelow,
} from '../blocks/pruned-branch.ts';
import { NO_DYNAMIC_PAMT, NO_LARGE_PAGES, type Policy } from '../vm/policy.ts';
import { mapping } from '../vm/vm.ts';
import { frozenMirror } from './frozen-mirror.ts';

export const rcuBranchFree: Policy = {
  ...frozenMirror,
  name: 'rcu-branch-free',
  group: 'question',
  title: 'prune and block a branch; an RCU callback removes it',
  proposed: 'Christopherson, 23-26 Jan 2023 (P6); never adopted',
  breaks: [
    {
      rule: 'S01',
      why: 'a blocked table hides its children: EPT_WALK_FAILED below, EPT_PAGE_NOT_FREE on it',
    },
    { rule: 'K48', why: 'the callback removes the table without mmu_lock' },
  ],
  never: [...NO_LARGE_PAGES, ...NO_DYNAMIC_PAMT],
  ...pruningBranches({
    prepare: blockBranch,
    *dispose(vm, branch) {
      yield* removeBelow(vm, branch, expectSuccess, false);
      yield* expectSuccess(vm, septRemove, mapping(vm, branch.gfn, branch.level));
    },
  }),
};

export default rcuBranchFree;
