/** The shipped policies, by name. */
import { busyNeedbreak, retryFrozen } from './busy-retries.ts';
import { exclusive } from './exclusive.ts';
import { finalizeUnlocked } from './finalize-unlocked.ts';
import { frozenMirror } from './frozen-mirror.ts';
import { mirrorNaive } from './mirror-naive.ts';
import type { Policy } from './policy.ts';
import {
  rcuBranchFree, rcuBranchFreeBottomUp, rcuBranchFreeRetry, rcuBranchFreeTableFirst, rcuBranchFreeUnblock,
} from './rcu-branch-free.ts';
import { premapThenAdd } from './premap-then-add.ts';
import { fastZap, zapAllLeaves } from './slot-zaps.ts';
import { hkidBeforeLeaves, noCacheFlush, tdrFirst } from './teardown-orders.ts';
import { upstream616 } from './upstream-6.16.ts';
import { upstream619 } from './upstream-6.19.ts';

export const POLICIES: readonly Policy[] = [
  exclusive, frozenMirror, mirrorNaive,
  rcuBranchFree, rcuBranchFreeRetry, rcuBranchFreeTableFirst, rcuBranchFreeUnblock, rcuBranchFreeBottomUp,
  upstream616, upstream619, premapThenAdd, retryFrozen, busyNeedbreak, fastZap, zapAllLeaves,
  hkidBeforeLeaves, tdrFirst, noCacheFlush,
];

export {
  exclusive, frozenMirror, mirrorNaive,
  rcuBranchFree, rcuBranchFreeBottomUp, rcuBranchFreeRetry, rcuBranchFreeTableFirst, rcuBranchFreeUnblock,
  upstream616, upstream619, premapThenAdd, retryFrozen, busyNeedbreak, fastZap, zapAllLeaves,
  hkidBeforeLeaves, tdrFirst, noCacheFlush, finalizeUnlocked,
};
export type { Breach, Policy } from './policy.ts';
export { Vm } from './vm.ts';
