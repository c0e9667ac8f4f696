/**
 * `sept-conformance/spec`: the vocabulary of machine, KVM and TDX module, for policies and rules.
 * What is not listed here is not public. A group's tags are those of each of its names.
 */

/** The machine: cells and actors. @public @since 0.1.0 */
export { MAX_ACTORS, Machine } from './machine/machine.ts';
export type { Actor, Cell, Condition, Holdable, Recorder } from './machine/machine.ts';
export { PAGE_BYTES } from './machine/memory.ts';
export type { Memory } from './machine/memory.ts';
export { PerActor } from './machine/per-actor.ts';

/** Steps that actors announce, and their kinds. @public @since 0.1.0 */
export { ACQUIRE, KIND_NAMES, PAUSE, READ, RELEASE, RMW, TRY, WAIT } from './machine/step.ts';
export { WRITE, access, atomically, cellOf, independent, kindOf } from './machine/step.ts';
export type { Access, Kind, Steps } from './machine/step.ts';

/** Locks, RCU, TLBs and page walkers. @public @since 0.1.0 */
export type { Rcu } from './machine/rcu.ts';
export type { RwLock } from './machine/rwlock.ts';
export type { SpinLock } from './machine/spinlock.ts';
export type { Tlb } from './machine/tlb.ts';
export type { Walker } from './machine/walker.ts';

/** Pages that the kernel allocates. @public @since 0.1.0 */
export { NO_PAGE, Pages, generationOf, pageNumberOf } from './machine/pages.ts';
export type { PageRef, PagesOptions } from './machine/pages.ts';

/** vCPUs, their modes and requests. @public @since 0.1.0 */
export { EXITING_GUEST, IN_GUEST, OUTSIDE_GUEST, Vcpu, requestAllAndWait } from './machine/vcpu.ts';
export type { GuestMode, Requests } from './machine/vcpu.ts';

/** Rules, monitors and violations. @public @since 0.1.0 */
export { compareIds } from './machine/rule.ts';
export type { Level, RuleText, Violation } from './machine/rule.ts';
export { RuleBook, about, isProtocol } from './machine/monitor.ts';
export type { Reporter, Rule } from './machine/monitor.ts';

/** Faults of any run (H rules). @public @since 0.1.0 */
export { BAD_GUEST_ENTRY, BAD_UNLOCK, DEADLOCK, DOUBLE_FREE } from './machine/faults.ts';
export { ENDED_HOLDING, FAULTS, LEAK, LIVELOCK, USE_AFTER_FREE } from './machine/faults.ts';
export { actorName, fault } from './machine/faults.ts';

/** Levels and GFNs as outputs print them. @public @since 0.1.0 */
export { entryAt, sizeAt } from './machine/levels.ts';

/** KVM: VM, vCPUs, faults and their results. @public @since 0.1.0 */
export { CONTEXTS, FAULT_ANSWERS, Kvm, REQ_FREE_OBSOLETE_ROOTS, REQ_TLB_FLUSH } from './kvm/kvm.ts';
export { RET_CONTINUE, RET_EMULATE, RET_EXIT, RET_FIXED, RET_RETRY } from './kvm/kvm.ts';
export { RET_SPURIOUS, permits } from './kvm/kvm.ts';
export type { Context, Fault, FaultAnswer, KvmListener, KvmParts, KvmVcpu } from './kvm/kvm.ts';
export type { Promised } from './kvm/kvm.ts';

/** KVM: SPTEs. @public @since 0.1.0 */
export { ACCESSED, ACCESS_TRACKED, DIRTY, EMPTY, EXECUTABLE, FROZEN } from './kvm/spte.ts';
export { FROZEN_KIND, HOST_WRITABLE, LEAF, MMIO, MMU_WRITABLE, NONE, TABLE } from './kvm/spte.ts';
export { WRITABLE, describeSpte, flagsOfSpte, hasVolatileBits, isLeafSpte } from './kvm/spte.ts';
export { isNonPresentSpte, isPresent, kindOfSpte, leafSpte, mmioSpte } from './kvm/spte.ts';
export { pageOfSpte, tableSpte } from './kvm/spte.ts';
export type { Spte, SpteKind } from './kvm/spte.ts';

/** KVM: tables, roots and walks. @public @since 0.1.0 */
export { CLEARED, COMPARED, DIRECT_TABLE, EXCHANGED, LINKED, MEMSLOT_DATA } from './kvm/tables.ts';
export { MIRROR_TABLE, PAGE_KINDS, READY, SEPT_PAGE, SHADOW_TABLE, STORED } from './kvm/tables.ts';
export { Tables, UNLINKED, VCPU_STRUCT } from './kvm/tables.ts';
export { NX_DISALLOWED, NX_NEXT, NEXT, REFCOUNT, ROLE } from './kvm/tables.ts';
export type { SptePlace, SpteWritten, Stage, WriteKind } from './kvm/tables.ts';
export { Roots, SPECIAL_ROOT } from './kvm/roots.ts';
export type { RootListener, RootRole } from './kvm/roots.ts';
export { Walk } from './kvm/iterator.ts';
export type { WalkRange } from './kvm/iterator.ts';
export { NxList } from './kvm/nx-list.ts';
export type { NxListener } from './kvm/nx-list.ts';
export { ShadowMmu } from './kvm/shadow-mmu.ts';
export type { ShadowListener } from './kvm/shadow-mmu.ts';

/** KVM: memslots, memory attributes, the primary MMU, invalidation. @public @since 0.1.0 */
export { LOG_DIRTY, Memslots, NO_MEMSLOT, READ_ONLY, SLOT_ABSENT } from './kvm/memslots.ts';
export { SLOT_INVALID, SLOT_VALID } from './kvm/memslots.ts';
export type { Slot, SlotFlags, SlotListener, SlotPlace, SlotState } from './kvm/memslots.ts';
export { Attributes } from './kvm/attributes.ts';
export { PrimaryMmu } from './kvm/primary-mmu.ts';
export type { PrimaryListener } from './kvm/primary-mmu.ts';
export { Invalidation } from './kvm/invalidation.ts';
export type { InvalidationListener } from './kvm/invalidation.ts';

/** KVM: the mirror, guest_memfd, large pages, PAMT pages. @public @since 0.1.0 */
export { Mirror } from './kvm/mirror.ts';
export { GuestMemfd } from './kvm/guest-memfd.ts';
export { GuestMemory } from './kvm/guest-memory.ts';
export { Folios } from './kvm/folios.ts';
export { LargePages } from './kvm/large-pages.ts';
export { DynamicPamt } from './kvm/dynamic-pamt.ts';
export type { PamtCalls } from './kvm/dynamic-pamt.ts';
export { NO_CACHE, VM_CACHE } from './kvm/pamt-caches.ts';
export type { PamtCache, PamtListener, PamtPair } from './kvm/pamt-caches.ts';

/** KVM: the state of a TD, and exits of its vCPUs. @public @since 0.1.0 */
export { REQ_EVENT, REQ_SIGNAL, REQ_VM_DEAD, SLOT_NONE, TD_INITIALIZED } from './kvm/td-vm.ts';
export { TD_RUNNABLE, TdVm } from './kvm/td-vm.ts';
export type { TdVmOptions } from './kvm/td-vm.ts';
export { EXIT_PENDING, EXIT_WRITE, VcpuExit } from './kvm/vcpu-exit.ts';

/** The TDX module: interface functions, calls and operands. @public @since 0.1.0 */
export { TdxModule } from './tdx/module.ts';
export type { InterfaceFunction, ModuleListener, Platform } from './tdx/module.ts';
export { ALL_ONES, Call, HELD_ENTRY, HELD_EPOCH, HELD_IMPLICIT, HELD_KET } from './tdx/call.ts';
export { HELD_KOT, HELD_OP_STATE, HELD_PAGE, HELD_PAIR, HELD_RANGE } from './tdx/call.ts';
export { HELD_TDR } from './tdx/call.ts';
export { HELD_TDVPR, HELD_TREE, HELD_WBT, HUGE, OPERANDS_ZERO, lockKindOf } from './tdx/call.ts';
export { parent1G, parent2M } from './tdx/call.ts';
export type { Injection, Operands, Register, Role, RoleName, TdParams } from './tdx/call.ts';

/** The TDX module: versions, and how each locks the Secure EPT. @public @since 0.1.0 */
export { MODULE_VERSIONS, SEPT_FUNCTIONS, septLocking } from './tdx/versions/index.ts';
export { versionData } from './tdx/versions/index.ts';
export type { ModuleVersion, SeptFunction, SeptLocking } from './tdx/versions/index.ts';
export type { VersionData } from './tdx/versions/index.ts';
export { EXCLUSIVE, SHARED } from './tdx/locks.ts';
export type { Mode } from './tdx/locks.ts';

/** The TDX module: one object for each interface function. @public @since 0.1.0 */
export { FUNCTIONS, guestAccess, memRd, memTrack, memWr, mngAddcx } from './tdx/functions/index.ts';
export { mngCreate, mngInit, mngKeyConfig, mngKeyFreeid } from './tdx/functions/index.ts';
export { mngKeyReclaimid, mngRd, mngVpflushdone, mrExtend } from './tdx/functions/index.ts';
export { mrFinalize, pageAccept, pageAdd, pageAug, pageDemote } from './tdx/functions/index.ts';
export { pagePromote, pageRelocate, pageRemove, phymemCacheWb } from './tdx/functions/index.ts';
export { phymemPageRdmd, phymemPageReclaim, phymemPageWbinvd } from './tdx/functions/index.ts';
export { rangeBlock, rangeUnblock, septAdd, septRd, septRemove } from './tdx/functions/index.ts';
export { vpAddcx, vpCreate, vpEnter, vpFlush, vpInit } from './tdx/functions/index.ts';

/** The TDX module: functions of versions with dynamic PAMT. @public @since 0.1.0 */
export { phymemPamtAdd } from './tdx/functions/phymem-pamt-add.ts';
export { phymemPamtRemove } from './tdx/functions/phymem-pamt-remove.ts';

/** The TDX module: steps that its functions are made of. @public @since 0.1.0 */
export { addressOf, gfnOf, mappingOperand, pageNumber, pageOperand } from './tdx/operands.ts';
export {
  tdCell,
  tdState,
  tdStateLocked,
  tdrOperand,
  tdvprOperand,
  vpCell,
} from './tdx/operands.ts';
export { aboutEntry, findEntry, lockBit, lockEntry, lockTree, reportEntry } from './tdx/sept.ts';
export { requireBlockedAndTracked, requireState, updateEntry, walkTo } from './tdx/sept.ts';
export { withoutProgress } from './tdx/sept.ts';
export { assignPage, freePage, implicitPage, newPageOperand } from './tdx/pages.ts';
export { ENTRY_PAGE_TO_TDR, ENTRY_TO_TDR, PAGES_ENTRY_TO_TDR, PAGE_LAST } from './tdx/release.ts';
export { TDR_LAST, TDVPR_LAST } from './tdx/release.ts';

/** The TDX module: completion statuses. @public @since 0.1.0 */
export { EPT_ENTRY_NOT_PRESENT, EPT_ENTRY_STATE_INCORRECT } from './tdx/status.ts';
export { EPT_INVALID_PROMOTE_CONDITIONS, EPT_PAGE_NOT_FREE } from './tdx/status.ts';
export { EPT_WALK_FAILED, FLUSHVP_NOT_DONE, GPA_RANGE_ALREADY_BLOCKED } from './tdx/status.ts';
export { GPA_RANGE_NOT_BLOCKED, HKID_NOT_FREE, INCONSISTENT_MSR } from './tdx/status.ts';
export { INTERRUPTED_RESTARTABLE, INTERRUPTED_RESUMABLE, KEY_CONFIGURED } from './tdx/status.ts';
export { KEY_GENERATION_FAILED, LIFECYCLE_STATE_INCORRECT } from './tdx/status.ts';
export { LIMIT_CPUID_MAXVAL_SET, MAX_VCPUS_EXCEEDED } from './tdx/status.ts';
export { METADATA_FIELD_ID_INCORRECT, METADATA_FIRST_FIELD_ID_IN_CONTEXT } from './tdx/status.ts';
export { HPA_RANGE_NOT_FREE, MISSING_PAMT_PAGE_PAIR, MODULE_HALT } from './tdx/status.ts';
export { NO_HKID_READY_TO_WBCACHE, NO_PAMT_PAGE_PAIR, NO_VCPUS, OPERANDS } from './tdx/status.ts';
export { PAMT_PAGE_NOT_EMPTY } from './tdx/status.ts';
export { OPERAND_ADDR_RANGE_ERROR, OPERAND_BUSY } from './tdx/status.ts';
export { OPERAND_BUSY_HOST_PRIORITY, OPERAND_INVALID, OP_STATE_INCORRECT } from './tdx/status.ts';
export { PAGE_ALREADY_ACCEPTED, PAGE_METADATA_INCORRECT, PAGE_NOT_FREE } from './tdx/status.ts';
export { PAGE_SIZE_MISMATCH, PREVIOUS_TLB_EPOCH_BUSY, RND_NO_ENTROPY } from './tdx/status.ts';
export { SUCCESS, TDCS_NOT_ALLOCATED, TDCX_NUM_INCORRECT } from './tdx/status.ts';
export { TD_ASSOCIATED_PAGES_EXIST, TD_FATAL, TD_KEYS_NOT_CONFIGURED } from './tdx/status.ts';
export { TD_NON_DEBUG, TLB_TRACKING_NOT_DONE, VCPU_ASSOCIATED } from './tdx/status.ts';
export { VCPU_NOT_ASSOCIATED, VCPU_STATE_INCORRECT, VMEXIT_EPT_VIOLATION } from './tdx/status.ts';
export { WBCACHE_NOT_COMPLETE, WBCACHE_RESUME_ERROR, classOf } from './tdx/status.ts';
export { describeStatus, fromRax, isSuccessClass, on, operandName } from './tdx/status.ts';
export { operandOf, statusName, toRax } from './tdx/status.ts';
export type { Status, StatusName } from './tdx/status.ts';

/** The TDX module: Secure EPT entries. @public @since 0.1.0 */
export { ALL_BLOCKED, BLOCKED, BLOCKEDW, ENTRY_LOCK, EXPORTED_BLOCKEDW } from './tdx/entry.ts';
export { EXPORTED_DIRTY, EXPORTED_DIRTY_BLOCKEDW, FREE, HOST_PRIORITY } from './tdx/entry.ts';
export { LEAVES, MAPPED, NL_BLOCKED, NL_MAPPED, PENDING, PENDING_BLOCKED } from './tdx/entry.ts';
export { PENDING_BLOCKEDW, PENDING_EXPORTED_BLOCKEDW } from './tdx/entry.ts';
export { PENDING_EXPORTED_DIRTY, PENDING_EXPORTED_DIRTY_BLOCKEDW } from './tdx/entry.ts';
export { PERMITTING, REMOVED, STATES, TABLES, TRACKED, among, describeEntry } from './tdx/entry.ts';
export { entry, fromRaw, isGuestAccessible, isLeaf, isPending, isTable } from './tdx/entry.ts';
export { isWalkable, pageOf, permissionsOf, stateCode, stateName, stateOf } from './tdx/entry.ts';
export { PAGE_MASK, setOf, toArchitectural, toRaw, withState, withoutLocks } from './tdx/entry.ts';
export type { Entry, EntryState, StateSet } from './tdx/entry.ts';

/** The TDX module: PAMT and keys. @public @since 0.1.0 */
export { EPT, NDA, NO_OWNER, PAMT, Pamt, REG, RSVD, SIZES, TDCX, TDR, TDVPR } from './tdx/pamt.ts';
export { pageTypeName } from './tdx/pamt.ts';
export type { PageType } from './tdx/pamt.ts';
export { HKID_FLUSHED, HKID_FREE, HKID_KOT_ASSIGNED, HKID_RESERVED } from './tdx/keys.ts';
export { KOT_STATES, KeyOwnership } from './tdx/keys.ts';

/** The TDX module: control structures of TDs and vCPUs. @public @since 0.1.0 */
export { HKID_ASSIGNED, INITIALIZED, KEYS_CONFIGURED, LIFECYCLES, MAX_LISTED } from './tdx/td.ts';
export { MIN_TDCX, MIN_TDVPS_PAGES, OP_STATES, RUNNABLE, TD, TD_BLOCKED } from './tdx/td.ts';
export { TEARDOWN, UNINITIALIZED, VCPU_ACTIVE, VCPU_READY, VCPU_UNINITIALIZED } from './tdx/td.ts';
export { IN_BUILD_OR_RUN, IN_INITIALIZED, IN_RUNNABLE, IN_UNINITIALIZED, VP } from './tdx/td.ts';
export { MAX_L2_VMS, MAX_TDCX, MAX_TDVPS_PAGES, ROOT_TDCX } from './tdx/td.ts';
export { TDVPS_PAGES_PER_L2_VM, opStates, refcountOf } from './tdx/td.ts';
