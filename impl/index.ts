/** The shipped policies, by name. */
import { busyNeedbreak, retryFrozen } from './policies/busy-retries.ts';
import { dynamicPamt } from './policies/dynamic-pamt.ts';
import { exclusive } from './policies/exclusive.ts';
import { finalizeUnlocked } from './policies/finalize-unlocked.ts';
import { frozenMirror } from './policies/frozen-mirror.ts';
import { hostPriority } from './policies/host-priority.ts';
import { hugePages2023 } from './policies/huge-pages-2023.ts';
import { hugePagesRfc1 } from './policies/huge-pages-rfc1.ts';
import { hugePagesV3 } from './policies/huge-pages-v3.ts';
import { hugePagesV5 } from './policies/huge-pages-v5.ts';
import { kickFirst } from './policies/kick-first.ts';
import { kickThenTrackPolicy } from './policies/kick-then-track.ts';
import { mirrorNaive } from './policies/mirror-naive.ts';
import { premapThenAdd } from './policies/premap-then-add.ts';
import {
  rcuBranchFree,
  rcuBranchFreeBottomUp,
  rcuBranchFreeRetry,
  rcuBranchFreeTableFirst,
  rcuBranchFreeUnblock,
} from './policies/rcu-branch-free.ts';
import { retryN, retryNZapUnderRead } from './policies/retry-n.ts';
import { seamcallFirst } from './policies/seamcall-first.ts';
import { seamcallSpinlock } from './policies/seamcall-spinlock.ts';
import { sideSept } from './policies/side-sept.ts';
import { fastZap, zapAllLeaves } from './policies/slot-zaps.ts';
import { hkidBeforeLeaves, noCacheFlush, tdrFirst } from './policies/teardown-orders.ts';
import { upstream616 } from './policies/upstream-6.16.ts';
import { upstream619 } from './policies/upstream-6.19.ts';
import { upstream7 } from './policies/upstream-7.ts';
import { vendorHook } from './policies/vendor-hook.ts';
import type { Policy } from './vm/policy.ts';

export const POLICIES: readonly Policy[] = [
  // what passes: the yardstick, what Linux ships, what was proposed for large pages and dynamic PAMT
  exclusive,
  frozenMirror,
  upstream616,
  upstream619,
  upstream7,
  hugePagesV3,
  hugePagesV5,
  dynamicPamt,
  kickThenTrackPolicy,
  kickFirst,
  sideSept,
  vendorHook,
  // the question, and what came before its answer
  mirrorNaive,
  rcuBranchFree,
  rcuBranchFreeRetry,
  rcuBranchFreeTableFirst,
  rcuBranchFreeUnblock,
  rcuBranchFreeBottomUp,
  seamcallSpinlock,
  seamcallFirst,
  retryN,
  retryNZapUnderRead,
  hostPriority,
  // what was rejected, or mended since
  premapThenAdd,
  retryFrozen,
  busyNeedbreak,
  fastZap,
  zapAllLeaves,
  hkidBeforeLeaves,
  tdrFirst,
  noCacheFlush,
  hugePages2023,
  hugePagesRfc1,
];

export {
  exclusive,
  frozenMirror,
  upstream616,
  upstream619,
  upstream7,
  hugePagesV3,
  hugePagesV5,
  dynamicPamt,
  kickThenTrackPolicy,
  kickFirst,
  sideSept,
  vendorHook,
  mirrorNaive,
  rcuBranchFree,
  rcuBranchFreeRetry,
  rcuBranchFreeTableFirst,
  rcuBranchFreeUnblock,
  rcuBranchFreeBottomUp,
  seamcallSpinlock,
  seamcallFirst,
  retryN,
  retryNZapUnderRead,
  hostPriority,
  premapThenAdd,
  retryFrozen,
  busyNeedbreak,
  fastZap,
  zapAllLeaves,
  hkidBeforeLeaves,
  tdrFirst,
  noCacheFlush,
  hugePages2023,
  hugePagesRfc1,
  finalizeUnlocked,
};
export {
  NO_DYNAMIC_PAMT,
  NO_LARGE_PAGES,
  TABLES_STAY,
  type Breach,
  type NotApplicable,
  type Policy,
} from './vm/policy.ts';
export { Vm, VM_KINDS, type VmKind } from './vm/vm.ts';

// What a policy that is written elsewhere is made of (`sept-conformance/impl`).
export * from './blocks/build.ts';
export * from './blocks/entry.ts';
export * from './blocks/fault.ts';
export * from './blocks/huge-pages.ts';
export * from './blocks/resize.ts';
export * from './blocks/seamcalls.ts';
export * from './blocks/split-under-read.ts';
export * from './blocks/teardown.ts';
export * from './blocks/zap.ts';
export * from './tdp-mmu/index.ts';
export type { TdpMmu } from './tdp-mmu/tdp-mmu.ts';
export { kickThenTrack } from './policies/kick-then-track.ts';
export { zapThroughHook } from './policies/vendor-hook.ts';
export { ARMED_GFN, GUEST_PAGES, USED_PAGES } from './vm/size.ts';
export { isStatus, mapping, succeeded, type VmVcpu } from './vm/vm.ts';
export { definePolicy, NoPolicy, policyFrom, type PartialPolicy } from './define-policy.ts';
