/** Dirty logging, and the splitting and recovery of huge pages that goes with it (K24, K25). */
import { Walk } from '../../spec/kvm/iterator.ts';
import type { Kvm } from '../../spec/kvm/kvm.ts';
import { LOG_DIRTY, SLOT_VALID, type Slot } from '../../spec/kvm/memslots.ts';
import {
  DIRTY,
  EMPTY,
  EXECUTABLE,
  flagsOfSpte,
  isLeafSpte,
  kindOfSpte,
  leafSpte,
  pageOfSpte,
  TABLE,
  tableSpte,
  WRITABLE,
  type Spte,
} from '../../spec/kvm/spte.ts';
import { DIRECT_TABLE } from '../../spec/kvm/tables.ts';
import { NO_PAGE, type PageRef } from '../../spec/machine/pages.ts';
import type { Steps } from '../../spec/machine/step.ts';
import type { Part } from './tdp-mmu.ts';

/** A walk over a slot in one root. */
const over = (kvm: Kvm, slot: Slot, root: PageRef, minLevel = 0): Walk => {
  const first = kvm.slots.gfnOf(slot);
  return new Walk(kvm.tables, { root, first, end: first + kvm.slots.place(slot).pages, minLevel });
};

/** The bit that must be clear so that hardware or a fault logs the next write through a leaf. */
export const reportingBit = (kvm: Kvm, { root, level }: Walk): number =>
  kvm.roots.adDisabled(root) || level > 0 ? WRITABLE : DIRTY;

export const dirtyLog: Part<
  | 'startLog'
  | 'collectLog'
  | 'stopLog'
  | 'writeProtectSlot'
  | 'splitHugePages'
  | 'recoverHugePages'
  | 'recoverRoot'
  | 'applyLog'
  | 'makeReport'
> = {
  *startLog(kvm, slot) {
    yield* kvm.slotsLock.lock();
    if (kvm.slots.stateOf(slot) === SLOT_VALID && !kvm.slots.isLogged(slot)) {
      const { asId, pages } = kvm.slots.place(slot);
      const gfn = kvm.slots.gfnOf(slot);
      kvm.promise('log', asId, gfn, pages);
      yield* this.installSlot(kvm, slot, SLOT_VALID, kvm.slots.flagsOf(slot) | LOG_DIRTY);
      yield* kvm.srcu.synchronize();
      yield* this.applyLog(kvm, slot);
      kvm.keep('log', asId, gfn, pages);
    }
    yield* kvm.slotsLock.unlock();
  },

  *applyLog(kvm, slot) {
    const { asId, pages } = kvm.slots.place(slot);
    yield* kvm.mmuLock.writeLock();
    if (asId === 0) yield* kvm.shadow.writeProtect(kvm.slots.gfnOf(slot), pages);
    yield* kvm.mmuLock.writeUnlock();
    yield* kvm.mmuLock.readLock();
    yield* this.splitHugePages(kvm, slot);
    yield* this.writeProtectSlot(kvm, slot);
    yield* kvm.mmuLock.readUnlock();
    // always: aging may have cleared W without a flush, and such entries were skipped (K24)
    yield* kvm.flushRange(kvm.slots.gfnOf(slot), pages);
  },

  *writeProtectSlot(kvm, slot) {
    let changed = false;
    let root = yield* this.nextRoot(kvm, NO_PAGE, true, true);
    while (root !== NO_PAGE) {
      if (kvm.roots.asIdOf(root) === kvm.slots.place(slot).asId) {
        yield* kvm.rcu.readLock();
        const walk = over(kvm, slot, root);
        while (yield* walk.next()) {
          if (yield* this.condResched(kvm, walk, false, true)) continue;
          while (isLeafSpte(walk.spte) && (walk.spte & reportingBit(kvm, walk)) !== 0) {
            if (yield* this.setSpteAtomic(kvm, walk, walk.spte & ~reportingBit(kvm, walk)))
              changed = true;
          }
        }
        yield* kvm.rcu.readUnlock();
      }
      root = yield* this.nextRoot(kvm, root, true, true);
    }
    return changed;
  },

  *splitHugePages(kvm, slot) {
    let root = yield* this.nextRoot(kvm, NO_PAGE, true, true);
    while (root !== NO_PAGE) {
      if (kvm.roots.asIdOf(root) === kvm.slots.place(slot).asId) {
        yield* kvm.rcu.readLock();
        const walk = over(kvm, slot, root, 1);
        while (yield* walk.next()) {
          if (yield* this.condResched(kvm, walk, false, true)) continue;
          if (!isLeafSpte(walk.spte)) continue;
          const table = yield* kvm.tables.alloc(DIRECT_TABLE, walk.level - 1, walk.gfn);
          if (table === NO_PAGE) continue; // the first write splits it
          yield* kvm.tables.makeReady(table, walk.table);
          yield* this.fillSplit(kvm, walk.spte, table);
          if (!(yield* this.setSpteAtomic(kvm, walk, tableSpte(table))))
            yield* kvm.freeTable(table);
        }
        yield* kvm.rcu.readUnlock();
      }
      root = yield* this.nextRoot(kvm, root, true, true);
    }
  },

  *collectLog(kvm, slot) {
    yield* kvm.slotsLock.lock();
    if (kvm.slots.stateOf(slot) === SLOT_VALID && kvm.slots.isLogged(slot)) {
      const { asId, pages } = kvm.slots.place(slot);
      const gfn = kvm.slots.gfnOf(slot);
      kvm.promise('collect', asId, gfn, pages);
      let flush = false;
      yield* kvm.mmuLock.writeLock();
      yield* kvm.rcu.readLock();
      for (let at = gfn; at < gfn + pages; at++) {
        if (!(yield* kvm.slots.takeDirty(slot, at))) continue;
        flush = true;
        yield* this.makeReport(kvm, asId, at);
      }
      yield* kvm.rcu.readUnlock();
      yield* kvm.mmuLock.writeUnlock();
      if (flush) yield* kvm.flushRange(gfn, pages);
      kvm.keep('collect', asId, gfn, pages);
    }
    yield* kvm.slotsLock.unlock();
  },

  *makeReport(kvm, asId, gfn) {
    if (asId === 0) yield* kvm.shadow.writeProtect(gfn, 1);
    for (const root of kvm.roots.all()) {
      if (kvm.roots.isInvalid(root) || kvm.roots.asIdOf(root) !== asId) continue;
      const walk = new Walk(kvm.tables, { root, first: gfn, end: gfn + 1 });
      while (yield* walk.next()) {
        const bit = reportingBit(kvm, walk);
        if (isLeafSpte(walk.spte) && (walk.spte & bit) !== 0)
          yield* kvm.tables.clearBits(walk.table, walk.index, bit);
      }
    }
  },

  *stopLog(kvm, slot) {
    yield* kvm.slotsLock.lock();
    if (kvm.slots.stateOf(slot) === SLOT_VALID && kvm.slots.isLogged(slot)) {
      const { asId, pages } = kvm.slots.place(slot);
      const gfn = kvm.slots.gfnOf(slot);
      kvm.promise('unlog', asId, gfn, pages);
      yield* this.installSlot(kvm, slot, SLOT_VALID, kvm.slots.flagsOf(slot) & ~LOG_DIRTY);
      yield* kvm.srcu.synchronize();
      yield* kvm.mmuLock.readLock();
      yield* this.recoverHugePages(kvm, slot);
      yield* kvm.mmuLock.readUnlock();
      kvm.keep('unlog', asId, gfn, pages);
    }
    yield* kvm.slotsLock.unlock();
  },

  *recoverHugePages(kvm, slot) {
    let root = yield* this.nextRoot(kvm, NO_PAGE, true, true);
    while (root !== NO_PAGE) {
      if (kvm.roots.asIdOf(root) === kvm.slots.place(slot).asId) {
        yield* kvm.rcu.readLock();
        // the tables are freed after the read section: vCPUs' cached entries must be flushed before
        if (yield* this.recoverRoot(kvm, slot, root))
          yield* kvm.flushRange(kvm.slots.gfnOf(slot), kvm.slots.place(slot).pages);
        yield* kvm.rcu.readUnlock();
      }
      root = yield* this.nextRoot(kvm, root, true, true);
    }
  },

  *recoverRoot(kvm, slot, root) {
    let flush = false;
    const walk = over(kvm, slot, root, 1);
    while (yield* walk.next()) {
      if (yield* this.condResched(kvm, walk, flush, true)) {
        flush = false;
        continue;
      }
      const huge = yield* hugeInsteadOf(kvm, slot, walk);
      if (huge !== EMPTY && (yield* this.setSpteAtomic(kvm, walk, huge))) flush = true;
    }
    return flush;
  },
};

/** Returns the huge leaf that can replace the table that the walk is at, or EMPTY. */
function* hugeInsteadOf(kvm: Kvm, slot: Slot, walk: Walk): Steps<Spte> {
  if (walk.level !== 1 || kindOfSpte(walk.spte) !== TABLE) return EMPTY;
  const first = kvm.slots.gfnOf(slot);
  const within =
    walk.gfn >= first && walk.gfn + kvm.tables.span(1) <= first + kvm.slots.place(slot).pages;
  if (
    !within ||
    (kvm.slots.place(slot).asId === 0 && kvm.attributes.isMixed(walk.gfn, kvm.tables.span(1)))
  )
    return EMPTY;
  const isPrivate = kvm.slots.place(slot).asId === 0 && kvm.attributes.isPrivate(walk.gfn);
  const level = isPrivate
    ? yield* kvm.attributes.memory.mappingLevel(walk.gfn)
    : yield* kvm.primary.mappingLevel(kvm.slots.hvaOf(slot, walk.gfn));
  if (level < 1) return EMPTY;
  const small = yield* kvm.tables.read(pageOfSpte(walk.spte), 0);
  if (!isLeafSpte(small)) return EMPTY;
  return leafSpte(pageOfSpte(small), flagsOfSpte(small) & ~EXECUTABLE);
}
