/**
 * What the TDP MMU of a direct root does: the entry points through which the rest of KVM makes it
 * work, and the steps that they are made of. A policy overrides any of them; the others then use
 * what it put there, because every step is called through the object. Names are those of Linux,
 * arch/x86/kvm/mmu/tdp_mmu.c and mmu.c, less their prefixes.
 */
import type { Walk } from '../../spec/kvm/iterator.ts';
import type { Context, Fault, FaultAnswer, Kvm, KvmVcpu } from '../../spec/kvm/kvm.ts';
import type { Slot } from '../../spec/kvm/memslots.ts';
import type { RootRole } from '../../spec/kvm/roots.ts';
import type { Spte } from '../../spec/kvm/spte.ts';
import type { PageRef } from '../../spec/machine/pages.ts';
import type { Steps } from '../../spec/machine/step.ts';

/** What KVM as a whole asks of its MMU. GFNs and user addresses (HVA) are pages. */
export interface DirectOperations {
  /** A guest access faulted. */
  pageFault(kvm: Kvm, vcpu: KvmVcpu, fault: Fault): Steps<FaultAnswer>;
  /** User space wants a range mapped before the guest needs it (KVM_PRE_FAULT_MEMORY). */
  prefault(kvm: Kvm, vcpu: KvmVcpu, gfn: number, pages: number): Steps<void>;
  /** A nested guest's access faulted: the shadow MMU handles it. */
  shadowFault(kvm: Kvm, vcpu: KvmVcpu, gfn: number): Steps<void>;
  /** A vCPU without a root gets one; false when there is no memory for it. */
  loadMmu(kvm: Kvm, vcpu: KvmVcpu, context: Context): Steps<boolean>;
  /** A vCPU that was asked to lets go of roots that have become invalid. */
  freeObsoleteRoots(kvm: Kvm, vcpu: KvmVcpu): Steps<void>;
  /**
   * The primary MMU takes pages away: `reclaim` does that, between what a notifier's start and its
   * end do.
   */
  invalidateRange(
    kvm: Kvm,
    hva: number,
    pages: number,
    mayBlock: boolean,
    reclaim: () => Steps<void>,
  ): Steps<void>;
  /** The primary MMU wants to know which pages are still used, and forgets it. */
  ageRange(kvm: Kvm, hva: number, pages: number): Steps<void>;
  createSlot(kvm: Kvm, slot: Slot): Steps<void>;
  deleteSlot(kvm: Kvm, slot: Slot): Steps<void>;
  moveSlot(kvm: Kvm, slot: Slot, gfn: number): Steps<void>;
  setReadOnly(kvm: Kvm, slot: Slot, readOnly: boolean): Steps<void>;
  startLog(kvm: Kvm, slot: Slot): Steps<void>;
  collectLog(kvm: Kvm, slot: Slot): Steps<void>;
  stopLog(kvm: Kvm, slot: Slot): Steps<void>;
  /** The NX recovery worker takes back one table. */
  recoverNx(kvm: Kvm): Steps<void>;
  /** Everything goes (the NX mitigation was switched, say). */
  zapAllFast(kvm: Kvm): Steps<void>;
  /** Nothing may map the range when this returns (an APIC page moves, a memory type changes). */
  zapGfnRange(kvm: Kvm, gfn: number, pages: number): Steps<void>;
  /** The guest must not write the page unseen, because KVM shadows it; or may again. */
  trackGfn(kvm: Kvm, slot: Slot, gfn: number, tracked: boolean): Steps<void>;
  /** guest_memfd gives private pages back: `reclaim` does that, once nothing maps them. */
  punchHole(kvm: Kvm, gfn: number, pages: number, reclaim: () => Steps<void>): Steps<void>;
  /** A GFN becomes private, or shared. */
  convert(kvm: Kvm, gfn: number, isPrivate: boolean): Steps<void>;
  /** The VM is gone; no vCPU runs any more. */
  destroyVm(kvm: Kvm): Steps<void>;
}

/** What a walk that takes leaves away may do. */
export interface ZapOptions {
  /** mmu_lock may be dropped on the way. */
  readonly mayYield: boolean;
  /** A flush is owed already. */
  readonly flush: boolean;
}

/** The steps. */
export interface DirectSteps {
  faultinPfn(kvm: Kvm, vcpu: KvmVcpu, fault: Fault): Steps<FaultAnswer>;
  /** Drops the reference to the page that {@link faultinPfn} got. */
  finishFaultin(kvm: Kvm, fault: Fault): Steps<void>;
  isPageFaultStale(kvm: Kvm, vcpu: KvmVcpu, fault: Fault): Steps<boolean>;
  fastPageFault(kvm: Kvm, vcpu: KvmVcpu, fault: Fault): Steps<FaultAnswer>;
  /** Level at which the page is to be mapped. Under mmu_lock. */
  mappingLevel(kvm: Kvm, fault: Fault): Steps<number>;
  map(kvm: Kvm, vcpu: KvmVcpu, fault: Fault): Steps<FaultAnswer>;
  mapTargetLevel(kvm: Kvm, fault: Fault, walk: Walk): Steps<FaultAnswer>;
  /** The leaf that a fault is to install at `level`. */
  makeLeaf(kvm: Kvm, fault: Fault, level: number): Spte;
  /**
   * Adds a table below the entry that the walk is at; what a fault should do when it did not come
   * about.
   */
  addTable(kvm: Kvm, fault: Fault, walk: Walk): Steps<boolean>;
  /** Does what has to be in order before a table is linked. */
  prepareTable(kvm: Kvm, fault: Fault, walk: Walk, table: PageRef): Steps<void>;
  /** Does what remains once it is linked. */
  tableLinked(kvm: Kvm, fault: Fault, walk: Walk, table: PageRef): Steps<void>;
  /**
   * Puts a table that is complete where the entry is; false when somebody else changed it
   * meanwhile.
   */
  linkTable(kvm: Kvm, walk: Walk, table: PageRef): Steps<boolean>;
  /** Fills a table with what the huge leaf maps. */
  fillSplit(kvm: Kvm, huge: Spte, table: PageRef): Steps<void>;
  /** Puts a table into the list of possible huge pages, if it still stands for one. */
  trackNx(kvm: Kvm, table: PageRef): Steps<void>;

  /**
   * Changes the entry that the walk is at, with mmu_lock held for read; false, the entry read
   * again, when it lost.
   */
  setSpteAtomic(kvm: Kvm, walk: Walk, value: Spte): Steps<boolean>;
  /** Changes the entry that the walk is at, with mmu_lock held for write. */
  setSpte(kvm: Kvm, walk: Walk, value: Spte): Steps<void>;
  /** What follows from a changed entry: a table that is no longer linked goes. */
  handleChanged(kvm: Kvm, before: Spte, after: Spte, shared: boolean): Steps<void>;
  /** Disposes of a table that was unlinked, and of everything below it. */
  handleRemovedTable(kvm: Kvm, table: PageRef, shared: boolean): Steps<void>;
  /** What KVM keeps of a table besides its entries is undone. */
  unlinkTable(kvm: Kvm, table: PageRef): Steps<void>;

  /** Lets others have mmu_lock, if they want it or the processor; true when it was dropped. */
  condResched(kvm: Kvm, walk: Walk, flush: boolean, shared: boolean): Steps<boolean>;
  /**
   * The next root after `previous`, with a reference; drops the one to `previous`. NO_PAGE at the
   * end.
   */
  nextRoot(kvm: Kvm, previous: PageRef, validOnly: boolean, shared: boolean): Steps<PageRef>;
  putRoot(kvm: Kvm, root: PageRef, shared: boolean): Steps<void>;
  allocRoot(kvm: Kvm, role: RootRole): Steps<PageRef>;
  /** {@link DirectOperations.zapAllFast} by somebody who holds slots_lock. */
  zapAllLocked(kvm: Kvm): Steps<void>;
  invalidateRoots(kvm: Kvm): Steps<void>;
  zapInvalidatedRoots(kvm: Kvm): Steps<void>;
  /** Empties a root, bottom-up in passes. */
  zapRoot(kvm: Kvm, root: PageRef, shared: boolean): Steps<void>;
  zapRootLevel(kvm: Kvm, root: PageRef, shared: boolean, level: number): Steps<void>;
  /** Takes leaves away, with mmu_lock held for write; whether a flush is owed. */
  zapLeafs(kvm: Kvm, root: PageRef, gfn: number, end: number, options: ZapOptions): Steps<boolean>;
  /** Takes a range of a slot away from all roots of its address space; whether a flush is owed. */
  unmapGfnRange(
    kvm: Kvm,
    slot: Slot,
    gfn: number,
    pages: number,
    mayBlock: boolean,
  ): Steps<boolean>;
  /** Without mmu_lock: a fault on `gfn` would be stale anyway. */
  seemsInvalidated(kvm: Kvm, gfn: number): Steps<boolean>;
  /**
   * A conversion invalidates these GFNs: every huge page that could be installed over what changes
   * (K40).
   */
  beginConversion(kvm: Kvm, gfn: number): Steps<{ readonly first: number; readonly pages: number }>;
  /** Around a zap inside KVM, with mmu_lock held for write. */
  beginZap(kvm: Kvm, gfn: number, pages: number): Steps<void>;
  endZap(kvm: Kvm): Steps<void>;
  /**
   * What a slot whose writes are logged from now on needs: no huge pages, and that writes are
   * reported.
   */
  applyLog(kvm: Kvm, slot: Slot): Steps<void>;
  /** The next write to a page is reported, through whatever root. With mmu_lock held for write. */
  makeReport(kvm: Kvm, asId: number, gfn: number): Steps<void>;
  /** Makes a slot's leaves trap on the next write. */
  writeProtectSlot(kvm: Kvm, slot: Slot): Steps<boolean>;
  splitHugePages(kvm: Kvm, slot: Slot): Steps<void>;
  /** Puts huge pages in the place of tables, and flushes. */
  recoverHugePages(kvm: Kvm, slot: Slot): Steps<void>;
  /** Does so in one root, inside an RCU read section; whether a flush is owed. */
  recoverRoot(kvm: Kvm, slot: Slot, root: PageRef): Steps<boolean>;
  /** Takes back some of the tables in the list, and flushes. */
  recoverSome(kvm: Kvm): Steps<void>;
  /** The first table of the list, or NO_PAGE. */
  firstNxTable(kvm: Kvm): Steps<PageRef>;
  /** Takes back one table that may stand for a huge page; whether a flush is owed. */
  recoverTable(kvm: Kvm, table: PageRef): Steps<boolean>;
  /** The slot that what a table maps belongs to. */
  slotOfTable(kvm: Kvm, table: PageRef): Steps<Slot>;
  /** Takes back a table that stands for a huge page. */
  zapPossibleNxHugePage(kvm: Kvm, table: PageRef): Steps<boolean>;
  /** A slot that goes lets go of its file. */
  unbindMemfd(kvm: Kvm, slot: Slot): Steps<void>;
  /** The last user of the file behind a slot's private memory has closed it. */
  releaseMemfd(kvm: Kvm): Steps<void>;
  /** Waits until no notifier is between its start and its end, and replaces a slot. */
  installSlot(kvm: Kvm, slot: Slot, state: 0 | 1 | 2, flags?: number, gfn?: number): Steps<void>;
}

export type TdpMmu = DirectOperations & DirectSteps;

/** A part of it, whose methods call each other and all the rest through `this`. */
export type Part<Names extends keyof TdpMmu> = Pick<TdpMmu, Names> & ThisType<TdpMmu>;
