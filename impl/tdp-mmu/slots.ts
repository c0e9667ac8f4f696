/** Changes of memslots (K32, K36, K42, K50). */
import { Walk } from '../../spec/kvm/iterator.ts';
import { CONTEXTS } from '../../spec/kvm/kvm.ts';
import { READ_ONLY, SLOT_ABSENT, SLOT_INVALID, SLOT_VALID } from '../../spec/kvm/memslots.ts';
import { isLeafSpte, MMU_WRITABLE, WRITABLE } from '../../spec/kvm/spte.ts';
import { NO_PAGE } from '../../spec/machine/pages.ts';
import type { Part } from './tdp-mmu.ts';

export const slots: Part<
  | 'createSlot'
  | 'deleteSlot'
  | 'moveSlot'
  | 'setReadOnly'
  | 'installSlot'
  | 'trackGfn'
  | 'destroyVm'
  | 'unbindMemfd'
  | 'releaseMemfd'
> = {
  *createSlot(kvm, slot) {
    const { gfn, pages } = kvm.slots.place(slot);
    if (gfn + pages > kvm.maxGfn) return; // zap-all would not reach it (K36)
    yield* kvm.slotsLock.lock();
    if (kvm.slots.stateOf(slot) === SLOT_ABSENT && (yield* kvm.slots.allocData(slot))) {
      yield* this.installSlot(kvm, slot, SLOT_VALID, 0, gfn);
    }
    yield* kvm.slotsLock.unlock();
  },

  *deleteSlot(kvm, slot) {
    yield* kvm.slotsLock.lock();
    if (kvm.slots.stateOf(slot) === SLOT_VALID) {
      const { asId, pages } = kvm.slots.place(slot);
      const gfn = kvm.slots.gfnOf(slot);
      kvm.promise('delete', asId, gfn, pages);
      yield* this.installSlot(kvm, slot, SLOT_INVALID);
      yield* kvm.srcu.synchronize();
      yield* this.zapAllLocked(kvm);
      yield* this.installSlot(kvm, slot, SLOT_ABSENT);
      yield* kvm.srcu.synchronize();
      yield* this.unbindMemfd(kvm, slot);
      yield* kvm.slots.freeData(slot);
      kvm.keep('delete', asId, gfn, pages);
    }
    yield* kvm.slotsLock.unlock();
  },

  *moveSlot(kvm, slot, gfn) {
    yield* kvm.slotsLock.lock();
    const isFree = kvm.slots.find(kvm.slots.place(slot).asId, gfn) < 0 && gfn < kvm.maxGfn;
    if (kvm.slots.stateOf(slot) === SLOT_VALID && kvm.slots.place(slot).pages === 1 && isFree) {
      yield* this.installSlot(kvm, slot, SLOT_INVALID);
      yield* kvm.srcu.synchronize();
      yield* this.zapAllLocked(kvm);
      yield* this.installSlot(kvm, slot, SLOT_VALID, kvm.slots.flagsOf(slot), gfn);
      yield* kvm.srcu.synchronize();
    }
    yield* kvm.slotsLock.unlock();
  },

  *setReadOnly(kvm, slot, readOnly) {
    // KVM cannot change the flag of an existing slot
    yield* this.deleteSlot(kvm, slot);
    yield* kvm.slotsLock.lock();
    const { gfn, pages } = kvm.slots.place(slot);
    const isNew = kvm.slots.stateOf(slot) === SLOT_ABSENT && gfn + pages <= kvm.maxGfn;
    if (isNew && (yield* kvm.slots.allocData(slot))) {
      yield* this.installSlot(kvm, slot, SLOT_VALID, readOnly ? READ_ONLY : 0, gfn);
    }
    yield* kvm.slotsLock.unlock();
  },

  *installSlot(kvm, slot, state, flags, gfn) {
    // a notifier under way must find the same slots at its end as at its start (K38)
    kvm.m.blockOn(() => kvm.m.peek(kvm.activeNotifiers) === 0);
    yield* kvm.slots.install(slot, state, flags, gfn);
  },

  *unbindMemfd(kvm, slot) {
    yield* kvm.memfd.unbind(slot);
  },

  *releaseMemfd(kvm) {
    if (!(yield* kvm.memfd.close())) return;
    yield* kvm.slotsLock.lock();
    for (const [slot] of kvm.slots.places.entries()) yield* kvm.memfd.release(slot);
    yield* kvm.slotsLock.unlock();
  },

  *trackGfn(kvm, slot, gfn, tracked) {
    const { asId } = kvm.slots.place(slot);
    yield* kvm.mmuLock.writeLock();
    kvm.promise('track', asId, gfn, 1);
    yield* kvm.m.write(kvm.tracked + gfn, tracked ? 1 : 0);
    let flush = false;
    if (tracked && asId === 0) yield* kvm.shadow.zapRange(gfn, 1);
    for (const root of tracked ? kvm.roots.all() : []) {
      if (kvm.roots.isInvalid(root) || kvm.roots.asIdOf(root) !== asId) continue;
      yield* kvm.rcu.readLock();
      const walk = new Walk(kvm.tables, { root, first: gfn, end: gfn + 1 });
      while (yield* walk.next()) {
        // also if W is clear: a fast page fault sets it again where the entry is MMU-writable (K19)
        if (!isLeafSpte(walk.spte) || (walk.spte & MMU_WRITABLE) === 0) continue;
        yield* kvm.tables.clearBits(walk.table, walk.index, MMU_WRITABLE | WRITABLE);
        flush = true;
      }
      yield* kvm.rcu.readUnlock();
    }
    if (flush) yield* kvm.flushAll();
    if (tracked) kvm.keep('track', asId, gfn, 1);
    yield* kvm.mmuLock.writeUnlock();
  },

  *destroyVm(kvm) {
    for (const vcpu of kvm.vcpus) {
      for (const context of CONTEXTS.keys()) {
        const root = yield* kvm.rootOf(vcpu, context);
        if (root === NO_PAGE) continue;
        yield* kvm.mmuLock.readLock();
        yield* kvm.setRoot(vcpu, context, NO_PAGE);
        yield* this.putRoot(kvm, root, true);
        yield* kvm.mmuLock.readUnlock();
      }
    }
    yield* this.zapAllFast(kvm);
    yield* kvm.rcu.barrier();
    yield* kvm.pages.free(kvm.shadow.table);
    for (const [slot] of kvm.slots.places.entries()) {
      if (kvm.slots.stateOf(slot) === SLOT_ABSENT) continue;
      yield* this.installSlot(kvm, slot, SLOT_ABSENT);
      yield* this.unbindMemfd(kvm, slot);
      yield* kvm.slots.freeData(slot);
    }
  },
};
