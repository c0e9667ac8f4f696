/**
 * rcu-branch-frozen-bottom-up: rcu-branch-frozen without the block of the branch. The callback
 * removes the branch bottom-up, every table mapped until it is empty, each entry with a block and a
 * TRACK of its own, and retries while another actor is in the way. The least that the branch needs
 * where a blocked table hides its children: mid-level tables stay reachable until they are
 * removed.
 *
 * What it breaks: where BLOCK and SEPT.REMOVE lock the tree, the callback is in the way of zaps
 * under mmu_lock, which kick the vCPUs and must then succeed. Without a tree lock it is in their
 * way at TRACK, which locks the epoch of the whole TD.
 */
import { freezingBranches, removeMapped, retryWhileHindered } from '../blocks/frozen-branch.ts';
import type { Policy } from '../vm/policy.ts';
import { rcuBranchFrozen } from './rcu-branch-frozen.ts';

export const rcuBranchFrozenBottomUp: Policy = {
  ...rcuBranchFrozen,
  name: 'rcu-branch-frozen-bottom-up',
  title: 'as rcu-branch-frozen, but without the block, and bottom-up',
  breaks: [
    {
      rule: 'S01',
      rare: true,
      why: 'a zap meets the callback twice, and may not retry', // on 1.5.05, too: docs/what-if.md
      versions: ['fine-grained', 'fine-grained-visible', 'fine-grained-covering'],
    },
    { rule: 'K48', why: 'the callback removes the table without mmu_lock' },
  ],
  ...freezingBranches({
    *prepare() {},
    dispose: (vm, branch) => removeMapped(vm, branch, retryWhileHindered),
  }),
};

export default rcuBranchFrozenBottomUp;
