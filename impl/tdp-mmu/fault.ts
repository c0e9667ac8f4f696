/**
 * Faults in the order of Linux 7.x (K37): sample the invalidation number; look up slot and page;
 * take mmu_lock for read; check that nothing was invalidated meanwhile; map. Before all that, and
 * without any lock, the fast path for an entry that only lacks a bit.
 */
import {
  REQ_FREE_OBSOLETE_ROOTS,
  RET_CONTINUE,
  RET_EMULATE,
  RET_EXIT,
  RET_FIXED,
  RET_RETRY,
  RET_SPURIOUS,
  permits,
  type Fault,
  type FaultAnswer,
  type Kvm,
} from '../../spec/kvm/kvm.ts';
import { NO_MEMSLOT, READ_ONLY, SLOT_INVALID } from '../../spec/kvm/memslots.ts';
import type { PrimaryMmu } from '../../spec/kvm/primary-mmu.ts';
import { SPECIAL_ROOT } from '../../spec/kvm/roots.ts';
import {
  ACCESS_TRACKED,
  ACCESSED,
  DIRTY,
  isLeafSpte,
  kindOfSpte,
  MMIO,
  MMU_WRITABLE,
  pageOfSpte,
  WRITABLE,
} from '../../spec/kvm/spte.ts';
import { NO_PAGE, type PageRef } from '../../spec/machine/pages.ts';
import type { Part } from './tdp-mmu.ts';

/** A new fault of a vCPU, or of user space on its behalf, with nothing looked up yet. */
export const newFault = (
  root: PageRef,
  asId: 0 | 1,
  gfn: number,
  access: { readonly write?: boolean; readonly exec?: boolean; readonly prefetch?: boolean },
): Fault => ({
  gfn,
  root,
  asId,
  write: access.write ?? false,
  exec: access.exec ?? false,
  prefetch: access.prefetch ?? false,
  seq: 0,
  slot: NO_MEMSLOT,
  isPrivate: false,
  page: -1,
  hostWritable: false,
  goal: 0,
});

/** The memory that backs the page of a fault. */
export const memoryOf = (kvm: Kvm, { isPrivate }: Fault): PrimaryMmu =>
  isPrivate ? kvm.attributes.memory : kvm.primary;
/** Address of the page of a fault in that memory. */
export const addressOf = (kvm: Kvm, { gfn, isPrivate, slot }: Fault): number =>
  isPrivate ? gfn : kvm.slots.hvaOf(slot, gfn);

/** Number of attempts before the slow path is taken. */
const FAST_TRIES = 4;

export const faults: Part<
  | 'pageFault'
  | 'prefault'
  | 'shadowFault'
  | 'faultinPfn'
  | 'finishFaultin'
  | 'isPageFaultStale'
  | 'fastPageFault'
  | 'seemsInvalidated'
> = {
  *pageFault(kvm, vcpu, fault) {
    // KVM emulates writes to pages that it shadows
    if (fault.write && (yield* kvm.m.read(kvm.tracked + fault.gfn)) !== 0) return RET_EMULATE;
    const fast = yield* this.fastPageFault(kvm, vcpu, fault);
    if (fast !== RET_CONTINUE) return fast;
    fault.seq = yield* kvm.invalidation.sample();
    const early = yield* this.faultinPfn(kvm, vcpu, fault);
    if (early !== RET_CONTINUE) return early;
    let result: FaultAnswer = RET_RETRY;
    yield* kvm.mmuLock.readLock();
    if (!(yield* this.isPageFaultStale(kvm, vcpu, fault)))
      result = yield* this.map(kvm, vcpu, fault);
    yield* this.finishFaultin(kvm, fault);
    yield* kvm.mmuLock.readUnlock();
    return result;
  },

  *faultinPfn(kvm, _vcpu, fault) {
    const { gfn, asId, write } = fault;
    fault.slot = yield* kvm.slots.lookup(asId, gfn);
    if (fault.slot === NO_MEMSLOT) return gfn >= kvm.maxGfn ? RET_EMULATE : RET_CONTINUE;
    if (kvm.slots.stateOf(fault.slot) === SLOT_INVALID)
      return fault.prefetch ? RET_EXIT : RET_RETRY;
    const readOnly = (kvm.slots.flagsOf(fault.slot) & READ_ONLY) !== 0;
    if (readOnly && write) return RET_EXIT;
    if (yield* this.seemsInvalidated(kvm, gfn)) return RET_RETRY;
    fault.isPrivate = asId === 0 && (yield* kvm.attributes.lookup(gfn));
    const memory = memoryOf(kvm, fault);
    const hva = addressOf(kvm, fault);
    // the host does not map private memory, so no host mapping can be read-only
    fault.page = yield* memory.fault(hva, write || fault.isPrivate);
    fault.hostWritable = memory.isWritable(hva) && !readOnly;
    // again, since getting the page may take long: a stale fault should not take mmu_lock (K41)
    if (!(yield* this.seemsInvalidated(kvm, gfn))) return RET_CONTINUE;
    yield* this.finishFaultin(kvm, fault);
    return RET_RETRY;
  },

  *seemsInvalidated(kvm, gfn) {
    return yield* kvm.invalidation.seemsUnderWay(gfn);
  },

  *finishFaultin(kvm, fault) {
    if (fault.page >= 0) yield* memoryOf(kvm, fault).put(fault.page);
  },

  *isPageFaultStale(kvm, vcpu, fault) {
    // a special root has no page; its vCPU gets a request instead
    if (fault.root === SPECIAL_ROOT)
      return ((yield* vcpu.vcpu.checkRequests()) & REQ_FREE_OBSOLETE_ROOTS) !== 0;
    if (yield* kvm.roots.isObsolete(fault.root)) return true;
    return fault.slot !== NO_MEMSLOT && (yield* kvm.invalidation.isStale(fault.seq, fault.gfn));
  },

  *fastPageFault(kvm, _vcpu, fault) {
    if (fault.root === SPECIAL_ROOT) return RET_CONTINUE;
    yield* kvm.rcu.readLock();
    let result: FaultAnswer = RET_CONTINUE;
    for (let i = 0; i < FAST_TRIES && result === RET_CONTINUE; i++) {
      const { table, index, spte, level } = yield* kvm.tables.walkFrom(fault.root, fault.gfn, 0);
      const isCurrent =
        kindOfSpte(spte) === MMIO && pageOfSpte(spte) === kvm.m.peek(kvm.slots.generation);
      if (isCurrent) result = RET_EMULATE;
      if (permits(spte, fault)) result = RET_SPURIOUS;
      if (!isLeafSpte(spte) || result !== RET_CONTINUE) break;
      const slot = yield* kvm.slots.lookup(fault.asId, fault.gfn);
      let wanted = spte;
      if ((spte & ACCESS_TRACKED) !== 0) wanted = (spte & ~ACCESS_TRACKED) | ACCESSED;
      // while writes are logged, a huge page must be split, which the slow path does
      const logged = slot !== NO_MEMSLOT && kvm.slots.isLogged(slot);
      if (fault.write && (spte & MMU_WRITABLE) !== 0 && !(logged && level > 0))
        wanted |= WRITABLE | DIRTY;
      if (wanted === spte || !permits(wanted, fault)) break;
      if (!(yield* kvm.tables.cmpxchg(table, index, spte, wanted))) continue;
      if (fault.write && slot !== NO_MEMSLOT) yield* kvm.slots.markDirty(slot, fault.gfn);
      result = RET_FIXED;
    }
    yield* kvm.rcu.readUnlock();
    return result;
  },

  *prefault(kvm, vcpu, gfn, pages) {
    for (let at = gfn; at < gfn + pages; at++) {
      yield* kvm.srcu.readLock();
      let result: FaultAnswer = RET_RETRY;
      while (result === RET_RETRY && kvm.m.peek(vcpu.signal) === 0) {
        const root = yield* kvm.rootOf(vcpu, 0);
        const stale = root !== NO_PAGE && (yield* kvm.roots.isObsolete(root));
        // the vCPU loads a new root when it next enters the guest; user space retries then
        if (root === NO_PAGE || stale) break;
        result = yield* this.pageFault(kvm, vcpu, newFault(root, 0, at, { prefetch: true }));
        yield* kvm.m.relax(vcpu.signal);
      }
      yield* kvm.srcu.readUnlock();
    }
  },

  *shadowFault(kvm, vcpu, gfn) {
    const fault = newFault(NO_PAGE, 0, gfn, { write: true });
    fault.seq = yield* kvm.invalidation.sample();
    if ((yield* this.faultinPfn(kvm, vcpu, fault)) !== RET_CONTINUE || fault.slot === NO_MEMSLOT)
      return;
    yield* kvm.mmuLock.writeLock();
    if (!(yield* kvm.invalidation.isStale(fault.seq, gfn))) {
      yield* kvm.shadow.makeAvailable();
      yield* kvm.shadow.add(fault.slot);
      yield* kvm.shadow.markUnsync();
      const leaf = this.makeLeaf(kvm, fault, 0);
      if ((leaf & WRITABLE) !== 0) yield* kvm.slots.markDirty(fault.slot, gfn);
      yield* kvm.shadow.map(gfn, leaf);
    }
    yield* this.finishFaultin(kvm, fault);
    yield* kvm.mmuLock.writeUnlock();
  },
};
