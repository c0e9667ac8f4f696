/**
 * rcu-branch-frozen-track: rcu-branch-frozen whose callback blocks what is below the table itself,
 * with one TRACK and a kick, and retries while another actor is in the way. This is what a module
 * needs whose BLOCK of a table does not reach the children (thread, message 12).
 *
 * What it breaks: TRACK locks the epoch of the whole TD. A zap under mmu_lock that is refused for
 * it kicks the vCPUs and must then succeed; the callback can be in its way a second time.
 */
import {
  blockBelow,
  freezingBranches,
  removeBranch,
  retryWhileHindered,
} from '../blocks/frozen-branch.ts';
import { blockBranch } from '../blocks/pruned-branch.ts';
import type { Policy } from '../vm/policy.ts';
import { rcuBranchFrozen } from './rcu-branch-frozen.ts';

export const rcuBranchFrozenTrack: Policy = {
  ...rcuBranchFrozen,
  name: 'rcu-branch-frozen-track',
  title: 'as rcu-branch-frozen, but the callback blocks and tracks what is below the table',
  breaks: [
    {
      rule: 'S01',
      why: 'what is below a blocked table cannot be reached: EPT_WALK_FAILED',
      versions: ['1.5.05', '1.5.01', '1.0', 'fine-grained'],
    },
    {
      rule: 'S01',
      rare: true,
      why: 'a zap meets the epoch lock or the epoch of the callback, and may not retry',
      versions: ['fine-grained-visible', 'fine-grained-covering'],
    },
    { rule: 'K48', why: 'the callback removes the table without mmu_lock' },
  ],
  ...freezingBranches({
    prepare: blockBranch,
    *dispose(vm, branch) {
      yield* blockBelow(vm, branch, retryWhileHindered);
      yield* removeBranch(vm, branch, retryWhileHindered);
    },
  }),
};

export default rcuBranchFrozenTrack;
