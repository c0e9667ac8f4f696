/** What a policy that is written elsewhere is made of (`sept-conformance/impl`). */
// the shipped policies: all of them, and each by its name
export { POLICIES } from './policies/index.ts';
export { exclusive } from './policies/exclusive.ts';
export { frozenMirror } from './policies/frozen-mirror.ts';
export { upstream616 } from './policies/upstream-6.16.ts';
export { upstream619 } from './policies/upstream-6.19.ts';
export { upstream7 } from './policies/upstream-7.ts';
export { dynamicPamt } from './policies/dynamic-pamt.ts';
export { hugePagesV3 } from './policies/huge-pages-v3.ts';
export { hugePagesV5 } from './policies/huge-pages-v5.ts';
export { kickFirst } from './policies/kick-first.ts';
export { kickThenTrack, kickThenTrackPolicy } from './policies/kick-then-track.ts';
export { sideSept } from './policies/side-sept.ts';
export { vendorHook, zapThroughHook } from './policies/vendor-hook.ts';
export { hostPriority } from './policies/host-priority.ts';
export { mirrorNaive } from './policies/mirror-naive.ts';
export { rcuBranchFree } from './policies/rcu-branch-free.ts';
export { rcuBranchFreeBottomUp } from './policies/rcu-branch-free-bottom-up.ts';
export { rcuBranchFreeRetry } from './policies/rcu-branch-free-retry.ts';
export { rcuBranchFreeTableFirst } from './policies/rcu-branch-free-table-first.ts';
export { rcuBranchFreeUnblock } from './policies/rcu-branch-free-unblock.ts';
export { RETRYING_ON_BUSY, retryN } from './policies/retry-n.ts';
export { retryNZapUnderRead } from './policies/retry-n-zap-under-read.ts';
export { seamcallFirst } from './policies/seamcall-first.ts';
export { seamcallSpinlock } from './policies/seamcall-spinlock.ts';
export { busyNeedbreak } from './policies/busy-needbreak.ts';
export { fastZap } from './policies/fast-zap.ts';
export { finalizeUnlocked } from './policies/finalize-unlocked.ts';
export { hkidBeforeLeaves } from './policies/hkid-before-leaves.ts';
export { hugePages2023 } from './policies/huge-pages-2023.ts';
export { hugePagesRfc1 } from './policies/huge-pages-rfc1.ts';
export { noCacheFlush } from './policies/no-cache-flush.ts';
export { premapThenAdd } from './policies/premap-then-add.ts';
export { retryFrozen } from './policies/retry-frozen.ts';
export { tdrFirst } from './policies/tdr-first.ts';
export { zapAllLeaves } from './policies/zap-all-leaves.ts';
export {
  NO_DYNAMIC_PAMT,
  NO_LARGE_PAGES,
  POLICY_GROUPS,
  TABLES_STAY,
  type Breach,
  type NotApplicable,
  type Policy,
  type PolicyGroup,
} from './vm/policy.ts';
export { Vm, VM_KINDS, type VmKind } from './vm/vm.ts';

export * from './blocks/build.ts';
export * from './blocks/entry.ts';
export * from './blocks/fault.ts';
export * from './blocks/huge-pages.ts';
export * from './blocks/pruned-branch.ts';
export * from './blocks/resize.ts';
export * from './blocks/seamcalls.ts';
export * from './blocks/split-under-read.ts';
export * from './blocks/teardown.ts';
export * from './blocks/zap.ts';
export * from './tdp-mmu/index.ts';
export type { TdpMmu } from './tdp-mmu/tdp-mmu.ts';
export { ARMED_GFN, GUEST_PAGES, USED_PAGES } from './vm/size.ts';
export { isStatus, mapping, succeeded, type VmVcpu } from './vm/vm.ts';
export { definePolicy, NoPolicy, policyFrom, type PartialPolicy } from './define-policy.ts';
