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
import { upstream7 } from './upstream-7.ts';

export const POLICIES: readonly Policy[] = [
  exclusive, frozenMirror, upstream7, mirrorNaive,
  rcuBranchFree, rcuBranchFreeRetry, rcuBranchFreeTableFirst, rcuBranchFreeUnblock, rcuBranchFreeBottomUp,
  upstream616, upstream619, premapThenAdd, retryFrozen, busyNeedbreak, fastZap, zapAllLeaves,
  hkidBeforeLeaves, tdrFirst, noCacheFlush,
];

export {
  exclusive, frozenMirror, upstream7, mirrorNaive,
  rcuBranchFree, rcuBranchFreeBottomUp, rcuBranchFreeRetry, rcuBranchFreeTableFirst, rcuBranchFreeUnblock,
  upstream616, upstream619, premapThenAdd, retryFrozen, busyNeedbreak, fastZap, zapAllLeaves,
  hkidBeforeLeaves, tdrFirst, noCacheFlush, finalizeUnlocked,
};
export type { Breach, Policy } from './policy.ts';
export { Vm } from './vm.ts';

// What a policy that is written elsewhere is made of (`sept-conformance/impl`).
export * from './blocks/fault.ts';
export * from './blocks/resize.ts';
export * from './blocks/seamcalls.ts';
export * from './blocks/teardown.ts';
export * from './blocks/zap.ts';
export * from './tdp-mmu/index.ts';
export type { TdpMmu } from './tdp-mmu/tdp-mmu.ts';
export { GUEST_PAGES } from './platform.ts';
export { isStatus, mapping, succeeded, type VmVcpu } from './vm.ts';
export { definePolicy, NoPolicy, policyFrom, type PartialPolicy } from './define-policy.ts';
