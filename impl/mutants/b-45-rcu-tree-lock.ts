/** The callback is alone in its branch, and not in the tree. */
import { exclusive } from '../policies/exclusive.ts';
import { rcuBranchFreeBottomUp } from '../policies/rcu-branch-free-bottom-up.ts';
import { mutant } from './mutant.ts';

export default mutant({
  id: 'B-45',
  title: 'removing a pruned branch in an RCU callback contends on the lock of the whole tree',
  source: 'thread, messages 14 and 15 (144de0bf7cc86dd7807f1b559c3269bccbb56317.camel@intel.com)',
  base: exclusive,
  breaks: ['K48', 'K56'],
  change: { removeTable: rcuBranchFreeBottomUp.removeTable },
});
