/** B-45: only the callback refers to its branch, but the module locks the whole tree. */
import { exclusive } from '../policies/exclusive.ts';
import { rcuBranchFreeBottomUp } from '../policies/rcu-branch-free-bottom-up.ts';
import { mutant } from './mutant.ts';

export default mutant({
  id: 'B-45',
  title: 'Removing a pruned branch in an RCU callback contends for the tree lock',
  source: 'thread, messages 14 and 15 (144de0bf7cc86dd7807f1b559c3269bccbb56317.camel@intel.com)',
  base: exclusive,
  breaks: ['K48', 'K56'],
  change: { removeTable: rcuBranchFreeBottomUp.removeTable },
});
