/**
 * Members of the TDP MMU of direct roots: the entry points that the rest of KVM calls, and the
 * steps that they consist of. A policy overrides any of them; the others then use the override,
 * because every step is called through `this`. Names are those of Linux, arch/x86/kvm/mmu/tdp_mmu.c
 * and mmu.c, without their prefixes.
 */
import type { Walk } from '../../spec/kvm/iterator.ts';
import type { Context, Fault, FaultAnswer, Kvm, KvmVcpu } from '../../spec/kvm/kvm.ts';
import type { Slot } from '../../spec/kvm/memslots.ts';
import type { RootRole } from '../../spec/kvm/roots.ts';
import type { Spte } from '../../spec/kvm/spte.ts';
import type { PageRef } from '../../spec/machine/pages.ts';
import type { Steps } from '../../spec/machine/step.ts';

/** Entry points that KVM calls. GFNs and user addresses (HVA) are in pages. */
interface DirectOperations {
  /** Handles a fault of a guest access. */
  pageFault(kvm: Kvm, vcpu: KvmVcpu, fault: Fault): Steps<FaultAnswer>;
  /** Maps a range before the guest needs it (KVM_PRE_FAULT_MEMORY). */
  prefault(kvm: Kvm, vcpu: KvmVcpu, gfn: number, pages: number): Steps<void>;
  /** Handles a fault of a nested guest's access, in the shadow MMU. */
  shadowFault(kvm: Kvm, vcpu: KvmVcpu, gfn: number): Steps<void>;
  /** Gives a vCPU without a root one; returns false if there is no memory for it. */
  loadMmu(kvm: Kvm, vcpu: KvmVcpu, context: Context): Steps<boolean>;
  /** Drops the vCPU's references to roots that have become invalid. */
  freeObsoleteRoots(kvm: Kvm, vcpu: KvmVcpu): Steps<void>;
  /** A notifier of the primary MMU: zaps the range, lets `reclaim` take the pages, and ends. */
  invalidateRange(
    kvm: Kvm,
    hva: number,
    pages: number,
    mayBlock: boolean,
    reclaim: () => Steps<void>,
  ): Steps<void>;
  /** Ages the range for the primary MMU: clears the accessed state of its leaves. */
  ageRange(kvm: Kvm, hva: number, pages: number): Steps<void>;
  /** Creates a memslot. */
  createSlot(kvm: Kvm, slot: Slot): Steps<void>;
  /** Deletes a memslot. */
  deleteSlot(kvm: Kvm, slot: Slot): Steps<void>;
  /** Moves a memslot to `gfn`. */
  moveSlot(kvm: Kvm, slot: Slot, gfn: number): Steps<void>;
  /** Deletes a memslot, and creates it with KVM_MEM_READONLY or without. */
  setReadOnly(kvm: Kvm, slot: Slot, readOnly: boolean): Steps<void>;
  /** Begins to log the guest's writes to a memslot. */
  startLog(kvm: Kvm, slot: Slot): Steps<void>;
  /** Returns the dirty log to user space, and makes the next write to each page be logged again. */
  collectLog(kvm: Kvm, slot: Slot): Steps<void>;
  /** Ends logging, and recovers huge pages. */
  stopLog(kvm: Kvm, slot: Slot): Steps<void>;
  /** One round of the NX recovery worker. */
  recoverNx(kvm: Kvm): Steps<void>;
  /** Zaps everything, e.g. because the NX mitigation was switched. */
  zapAllFast(kvm: Kvm): Steps<void>;
  /** Zaps the range, e.g. because an APIC page moves or a memory type changes. */
  zapGfnRange(kvm: Kvm, gfn: number, pages: number): Steps<void>;
  /** Write-protects a page that KVM shadows (`tracked`), or stops doing so. */
  trackGfn(kvm: Kvm, slot: Slot, gfn: number, tracked: boolean): Steps<void>;
  /** Zaps private pages, then lets `reclaim` take them from guest_memfd. */
  punchHole(kvm: Kvm, gfn: number, pages: number, reclaim: () => Steps<void>): Steps<void>;
  /** Converts a GFN to private or shared. */
  convert(kvm: Kvm, gfn: number, isPrivate: boolean): Steps<void>;
  /** Tears the VM down. No vCPU runs any more. */
  destroyVm(kvm: Kvm): Steps<void>;
}

/** Options of a walk that zaps leaves. */
export interface ZapOptions {
  /** The walk may drop mmu_lock. */
  readonly mayYield: boolean;
  /** A flush is pending already. */
  readonly flush: boolean;
}

/** Steps that the entry points consist of. */
interface DirectSteps {
  /** Resolves memslot and page of a fault, and takes a reference to the page. */
  faultinPfn(kvm: Kvm, vcpu: KvmVcpu, fault: Fault): Steps<FaultAnswer>;
  /** Drops the reference to the page that {@link faultinPfn} got. */
  finishFaultin(kvm: Kvm, fault: Fault): Steps<void>;
  /** Something that the fault relies on was invalidated since {@link faultinPfn}. */
  isPageFaultStale(kvm: Kvm, vcpu: KvmVcpu, fault: Fault): Steps<boolean>;
  /** Resolves a fault without mmu_lock if an SPTE only lacks a bit. */
  fastPageFault(kvm: Kvm, vcpu: KvmVcpu, fault: Fault): Steps<FaultAnswer>;
  /** Returns the level at which to map the page. The caller holds mmu_lock. */
  mappingLevel(kvm: Kvm, fault: Fault): Steps<number>;
  /** Walks to the page's level, adding tables, and maps it. */
  map(kvm: Kvm, vcpu: KvmVcpu, fault: Fault): Steps<FaultAnswer>;
  /** Installs the leaf at the entry that the walk is at. */
  mapTargetLevel(kvm: Kvm, fault: Fault, walk: Walk): Steps<FaultAnswer>;
  /** Returns the leaf that a fault installs at `level`. */
  makeLeaf(kvm: Kvm, fault: Fault, level: number): Spte;
  /** Adds a table below the entry that the walk is at; returns false if out of memory. */
  addTable(kvm: Kvm, fault: Fault, walk: Walk): Steps<boolean>;
  /** Initializes a table before it is linked. */
  prepareTable(kvm: Kvm, fault: Fault, walk: Walk, table: PageRef): Steps<void>;
  /** Runs after a table was linked. */
  tableLinked(kvm: Kvm, fault: Fault, walk: Walk, table: PageRef): Steps<void>;
  /** Links a complete table; returns false if another actor changed the entry meanwhile. */
  linkTable(kvm: Kvm, walk: Walk, table: PageRef): Steps<boolean>;
  /** Fills a table with the small pages of a huge leaf. */
  fillSplit(kvm: Kvm, huge: Spte, table: PageRef): Steps<void>;
  /** Adds a table to the list of possible NX huge pages, if it is still marked. */
  trackNx(kvm: Kvm, table: PageRef): Steps<void>;

  /**
   * Changes the entry that the walk is at, with mmu_lock held for read; if the cmpxchg fails,
   * rereads the entry and returns false.
   */
  setSpteAtomic(kvm: Kvm, walk: Walk, value: Spte): Steps<boolean>;
  /** Changes the entry that the walk is at, with mmu_lock held for write. */
  setSpte(kvm: Kvm, walk: Walk, value: Spte): Steps<void>;
  /** Handles a changed entry: disposes of a table that it unlinks. */
  handleChanged(kvm: Kvm, before: Spte, after: Spte, shared: boolean): Steps<void>;
  /** Disposes of a table that was unlinked, and of everything below it. */
  handleRemovedTable(kvm: Kvm, table: PageRef, shared: boolean): Steps<void>;
  /** Removes a table from KVM's lists. */
  unlinkTable(kvm: Kvm, table: PageRef): Steps<void>;

  /** Yields mmu_lock if it or the processor is contended; returns true if it was dropped. */
  condResched(kvm: Kvm, walk: Walk, flush: boolean, shared: boolean): Steps<boolean>;
  /**
   * Returns the root after `previous` with a reference, or NO_PAGE; drops the reference to
   * `previous`.
   */
  nextRoot(kvm: Kvm, previous: PageRef, validOnly: boolean, shared: boolean): Steps<PageRef>;
  /** Drops a reference to a root; the last one frees it by RCU. */
  putRoot(kvm: Kvm, root: PageRef, shared: boolean): Steps<void>;
  /**
   * Returns a valid root of a role with a reference, an existing or a new one; NO_PAGE if no
   * memory.
   */
  allocRoot(kvm: Kvm, role: RootRole): Steps<PageRef>;
  /** {@link DirectOperations.zapAllFast} by a caller that holds slots_lock. */
  zapAllLocked(kvm: Kvm): Steps<void>;
  /** Marks every valid root invalid. */
  invalidateRoots(kvm: Kvm): Steps<void>;
  /** Zaps the roots that {@link invalidateRoots} marked. */
  zapInvalidatedRoots(kvm: Kvm): Steps<void>;
  /** Empties a root, bottom-up in passes. */
  zapRoot(kvm: Kvm, root: PageRef, shared: boolean): Steps<void>;
  /** One pass of {@link zapRoot}: zaps entries at `level` and below. */
  zapRootLevel(kvm: Kvm, root: PageRef, shared: boolean, level: number): Steps<void>;
  /** Zaps leaves with mmu_lock held for write; returns true if a flush is pending. */
  zapLeafs(kvm: Kvm, root: PageRef, gfn: number, end: number, options: ZapOptions): Steps<boolean>;
  /** Zaps a slot's range in all roots of its address space; returns true if a flush is pending. */
  unmapGfnRange(
    kvm: Kvm,
    slot: Slot,
    gfn: number,
    pages: number,
    mayBlock: boolean,
  ): Steps<boolean>;
  /** Checks without mmu_lock whether a fault on `gfn` would be stale anyway. */
  seemsInvalidated(kvm: Kvm, gfn: number): Steps<boolean>;
  /** Begins a conversion's invalidation, of every huge page that could cover `gfn` (K40). */
  beginConversion(kvm: Kvm, gfn: number): Steps<{ readonly first: number; readonly pages: number }>;
  /** Begins the invalidation of a zap inside KVM. The caller holds mmu_lock for write. */
  beginZap(kvm: Kvm, gfn: number, pages: number): Steps<void>;
  /** Ends it. */
  endZap(kvm: Kvm): Steps<void>;
  /** Prepares a slot for logging: splits huge pages, and makes the next writes be logged. */
  applyLog(kvm: Kvm, slot: Slot): Steps<void>;
  /** Arms logging of a page in every root. The caller holds mmu_lock for write. */
  makeReport(kvm: Kvm, asId: number, gfn: number): Steps<void>;
  /** Arms logging of a slot's leaves; returns true if one changed. */
  writeProtectSlot(kvm: Kvm, slot: Slot): Steps<boolean>;
  /** Splits a slot's huge pages. */
  splitHugePages(kvm: Kvm, slot: Slot): Steps<void>;
  /** Replaces tables of a slot by huge pages, and flushes. */
  recoverHugePages(kvm: Kvm, slot: Slot): Steps<void>;
  /** Does so in one root, inside an RCU read section; returns true if a flush is pending. */
  recoverRoot(kvm: Kvm, slot: Slot, root: PageRef): Steps<boolean>;
  /** Zaps some of the listed tables, and flushes. */
  recoverSome(kvm: Kvm): Steps<void>;
  /** Returns the first table of the list, or NO_PAGE. */
  firstNxTable(kvm: Kvm): Steps<PageRef>;
  /** Recovers one table of the list; returns true if a flush is pending. */
  recoverTable(kvm: Kvm, table: PageRef): Steps<boolean>;
  /** Returns the memslot of the GFNs that a table maps. */
  slotOfTable(kvm: Kvm, table: PageRef): Steps<Slot>;
  /** Zaps a table that prevents a huge page. */
  zapPossibleNxHugePage(kvm: Kvm, table: PageRef): Steps<boolean>;
  /** Unbinds a deleted slot from its guest_memfd. */
  unbindMemfd(kvm: Kvm, slot: Slot): Steps<void>;
  /** Handles the last close of a guest_memfd: unbinds its slots. */
  releaseMemfd(kvm: Kvm): Steps<void>;
  /** Waits until no notifier is between its start and its end, then replaces a slot. */
  installSlot(kvm: Kvm, slot: Slot, state: 0 | 1 | 2, flags?: number, gfn?: number): Steps<void>;
}

/** The MMU of direct roots: entry points and steps. */
export type TdpMmu = DirectOperations & DirectSteps;

/** A part of it; its methods call all members through `this`. */
export type Part<Names extends keyof TdpMmu> = Pick<TdpMmu, Names> & ThisType<TdpMmu>;
