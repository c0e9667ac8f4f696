/**
 * `sept-conformance/impl`: policies, known bugs, and the parts that they are made of. What is not
 * listed here is not public. A group's tags are those of each of its names.
 */

/** Defining a policy. @public @since 0.1.0 */
export { definePolicy, NoPolicy, policyFrom } from './define-policy.ts';
export type { PartialPolicy } from './define-policy.ts';
export { NO_DYNAMIC_PAMT, NO_LARGE_PAGES, TABLES_STAY } from './vm/policy.ts';
export type { Breach, NotApplicable, Policy } from './vm/policy.ts';

/** Defining a module. @public @since 0.1.0 */
export { defineModule, functionOf, moduleFrom, NoModule } from './define-module.ts';
export type { ModuleChanges } from './define-module.ts';

/** The shipped policies, in the order in which they are listed. @public @since 0.1.0 */
export { POLICIES } from './policies/index.ts';
export { POLICY_GROUPS } from './vm/policy.ts';
export type { PolicyGroup } from './vm/policy.ts';

/** Policies: the baseline, and what Linux ships. @public @since 0.1.0 */
export { exclusive } from './policies/exclusive.ts';
export { frozenMirror } from './policies/frozen-mirror.ts';
export { upstream616 } from './policies/upstream-6.16.ts';
export { upstream619 } from './policies/upstream-6.19.ts';
export { upstream7 } from './policies/upstream-7.ts';

/** Policies: proposals that satisfy every rule. @public @since 0.1.0 */
export { dynamicPamt } from './policies/dynamic-pamt.ts';
export { hugePagesV3 } from './policies/huge-pages-v3.ts';
export { hugePagesV5 } from './policies/huge-pages-v5.ts';
export { kickFirst } from './policies/kick-first.ts';
export { kickThenTrackPolicy } from './policies/kick-then-track.ts';
export { pruneUnderLock } from './policies/prune-under-lock.ts';
export { sideSept } from './policies/side-sept.ts';
export { vendorHook } from './policies/vendor-hook.ts';

/** Policies: the question of January 2023, and proposals before its answer. @public @since 0.1.0 */
export { hostPriority } from './policies/host-priority.ts';
export { mirrorNaive } from './policies/mirror-naive.ts';
export { rcuBranchFree } from './policies/rcu-branch-free.ts';
export { rcuBranchFreeBottomUp } from './policies/rcu-branch-free-bottom-up.ts';
export { rcuBranchFreeLeavesFirst } from './policies/rcu-branch-free-leaves-first.ts';
export { rcuBranchFreeRetry } from './policies/rcu-branch-free-retry.ts';
export { rcuBranchFreeTableFirst } from './policies/rcu-branch-free-table-first.ts';
export { rcuBranchFreeUnblock } from './policies/rcu-branch-free-unblock.ts';
export { retryN } from './policies/retry-n.ts';
export { retryNZapUnderRead } from './policies/retry-n-zap-under-read.ts';
export { seamcallFirst } from './policies/seamcall-first.ts';
export { seamcallSpinlock } from './policies/seamcall-spinlock.ts';

/** Policies: rejected, or fixed since. @public @since 0.1.0 */
export { busyNeedbreak } from './policies/busy-needbreak.ts';
export { fastZap } from './policies/fast-zap.ts';
export { finalizeUnlocked } from './policies/finalize-unlocked.ts';
export { hkidBeforeLeaves } from './policies/hkid-before-leaves.ts';
export { hugePages2023 } from './policies/huge-pages-2023.ts';
export { hugePagesRfc1 } from './policies/huge-pages-rfc1.ts';
export { initVcpuUnlocked } from './policies/init-vcpu-unlocked.ts';
export { noCacheFlush } from './policies/no-cache-flush.ts';
export { premapThenAdd } from './policies/premap-then-add.ts';
export { retryFrozen } from './policies/retry-frozen.ts';
export { tdrFirst } from './policies/tdr-first.ts';
export { zapAllLeaves } from './policies/zap-all-leaves.ts';

/** Policies: for modules that do not exist. @public @since 0.1.0 */
export { rcuBranchFrozen } from './policies/rcu-branch-frozen.ts';
export { rcuBranchFrozenBottomUp } from './policies/rcu-branch-frozen-bottom-up.ts';
export { rcuBranchFrozenTrack } from './policies/rcu-branch-frozen-track.ts';
export { splitInFault } from './policies/split-in-fault.ts';
export { splitInFaultEarlyTest } from './policies/split-in-fault-early-test.ts';

/** Steps of single policies, for variants of them. @public @since 0.1.0 */
export { COVERED_MERGE, COVERED_SPLIT, PAMT_PAGES_OF_SPLIT } from './policies/dynamic-pamt.ts';
export { coveredFrom, getPagesForSplit, pamtEntryPoints } from './policies/dynamic-pamt.ts';
export { splitCovered } from './policies/dynamic-pamt.ts';
export type { GetPamt } from './policies/dynamic-pamt.ts';
export { kickThenTrack } from './policies/kick-then-track.ts';
export { mirrorFirst } from './policies/mirror-naive.ts';
export { addPremapped, premap, zappingEverything } from './policies/premap-then-add.ts';
export { RETRYING_ON_BUSY, retryBounded, trackSpinning } from './policies/retry-n.ts';
export { zapUnderRead } from './policies/retry-n-zap-under-read.ts';
export { zapThroughHook } from './policies/vendor-hook.ts';

/** Known bugs: policies with one change. @public @since 0.1.0 */
export { directMutant, mutant } from './mutants/mutant.ts';
export type { Mutant, MutantText } from './mutants/mutant.ts';

/** The VM, which every entry point gets. @public @since 0.1.0 */
export { isStatus, mapping, succeeded, Vm, VM_KINDS } from './vm/vm.ts';
export type { VmKind, VmListener, VmVcpu } from './vm/vm.ts';

/** Sizes of the platform, and the user address behind GFN 0. @public @since 0.1.0 */
export { ARMED_GFN, GUEST_PAGES, USED_PAGES } from './vm/size.ts';
export { DEFAULT_TREE, treeOf, UnusableTree } from './vm/size.ts';
export type { Sizes, Tree } from './vm/size.ts';
export { firstHva } from './platform/kvm-platform.ts';

/** The MMU of direct roots, and helpers of its steps. @public @since 0.1.0 */
export { tdpMmu } from './tdp-mmu/index.ts';
export type { TdpMmu } from './tdp-mmu/tdp-mmu.ts';
export { MOST_RECOVERED } from './tdp-mmu/nx.ts';
export { reportingBit } from './tdp-mmu/dirty-log.ts';

/** Blocks: faults on private pages, and entering the TD. @public @since 0.1.0 */
export { MAPPED_NOW, NO_SLOT, RETRY, augLeaf, faultUnder, hasRequests } from './blocks/fault.ts';
export { isSlotGoing, isWanted, mapPrivate, retryLocally, retryUntil } from './blocks/fault.ts';
export { throughFrozen } from './blocks/fault.ts';
export type { FaultOptions, FaultResult, Install, Installation } from './blocks/fault.ts';
export type { LeafChange, Leave } from './blocks/fault.ts';
export { callEnter, enterOnce, isInside } from './blocks/entry.ts';

/** Blocks: zapping private pages, and SEAMCALLs with a kick. @public @since 0.1.0 */
export { KICKING_ON_BUSY, POISON, giveUp, invalidating, reachesBeyond } from './blocks/zap.ts';
export { removeBlocked, removePage, removeSlotUnder, returnPages } from './blocks/zap.ts';
export { unmapUnder, writeBack, zapAll, zapLeaf, zapLeaves, zappingBy } from './blocks/zap.ts';
export type { Zap, ZapLeaf } from './blocks/zap.ts';
export { kickAll, OTHER_STATE, track, withoutVcpus } from './blocks/seamcalls.ts';

/** Blocks: large pages. @public @since 0.1.0 */
export { demoteUnder, faultLarge, inhibitLarge, promoteUnder } from './blocks/huge-pages.ts';
export { splitEdges, splitFolioUnder } from './blocks/huge-pages.ts';
export { MERGE, SPLIT, SPLIT_ALONE, demoteInto, demotePage } from './blocks/resize.ts';
export { fillSplit, freeTable, promoteAt, promoteTable } from './blocks/resize.ts';
export type { Resize } from './blocks/resize.ts';
export { addressesOf, pairAt } from './blocks/pamt.ts';
export { demoteAlone, inhibitUnderRead, splitFrozen } from './blocks/split-under-read.ts';
export { splitUnderRead } from './blocks/split-under-read.ts';

/** Blocks: branches that are removed by an RCU callback. @public @since 0.1.0 */
export { blockBranch, expectSuccess, pruningBranches } from './blocks/pruned-branch.ts';
export { childBranch, freeBranch, pruningUnderLock } from './blocks/pruned-branch.ts';
export { removeBelow, removeBranchBottomUp, trackIn } from './blocks/pruned-branch.ts';
export { blockBelow, freezingBranches, removeBranch } from './blocks/frozen-branch.ts';
export { removeMapped, retryWhileHindered } from './blocks/frozen-branch.ts';
export { retryWhileBusy } from './blocks/pruned-branch.ts';
export type { BranchDisposal, CallModule, PrunedBranch } from './blocks/pruned-branch.ts';

/** Blocks: building and destroying a TD. @public @since 0.1.0 */
export { addInPopulation, addLeaf, allLocks, closeBuild, closeBuildAlone } from './blocks/build.ts';
export { createVcpu, holding, initVcpuAlone, leafByState, measure } from './blocks/build.ts';
export { populate, populateUnlocked, preFault, publishRunnable } from './blocks/build.ts';
export { flushVcpus, freeHkid, reclaimPages, reclaimTdr, releaseTd } from './blocks/teardown.ts';
export { writeBackCaches } from './blocks/teardown.ts';
export { freeStruct, freeVcpu } from './blocks/vcpu-list.ts';
