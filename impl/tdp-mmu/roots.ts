/**
 * Roots, and walks over all of them (K27 to K34). A walk that may drop mmu_lock holds a reference
 * to its root.
 */
import { CONTEXTS, REQ_FREE_OBSOLETE_ROOTS, type Context } from '../../spec/kvm/kvm.ts';
import type { RootRole } from '../../spec/kvm/roots.ts';
import { NO_PAGE } from '../../spec/machine/pages.ts';
import { requestAllAndWait } from '../../spec/machine/vcpu.ts';
import type { Part } from './tdp-mmu.ts';

const roleOf = (context: Context): RootRole => CONTEXTS[context] as RootRole; // one for each

export const roots: Part<
  | 'condResched'
  | 'nextRoot'
  | 'putRoot'
  | 'allocRoot'
  | 'loadMmu'
  | 'freeObsoleteRoots'
  | 'invalidateRoots'
  | 'zapInvalidatedRoots'
  | 'zapAllFast'
  | 'zapAllLocked'
> = {
  *condResched(kvm, walk, flush, shared) {
    for (const listener of kvm.listeners) listener.offered?.();
    if (walk.nextGfn === walk.yieldedGfn) return false;
    const contended = yield* kvm.mmuLock.contended();
    if (!contended && kvm.m.choose(2) === 0) return false;
    if (flush) yield* kvm.flushAll();
    for (const listener of kvm.listeners) listener.yielding?.(walk);
    yield* kvm.rcu.readUnlock();
    yield* shared ? kvm.mmuLock.readUnlock() : kvm.mmuLock.writeUnlock();
    yield* kvm.m.relax(kvm.mmuLock.cell);
    yield* shared ? kvm.mmuLock.readLock() : kvm.mmuLock.writeLock();
    yield* kvm.rcu.readLock();
    walk.yieldedGfn = walk.nextGfn;
    walk.yielded = true;
    return true;
  },

  *nextRoot(kvm, previous, validOnly, shared) {
    yield* kvm.rcu.readLock();
    let root = yield* previous === NO_PAGE ? kvm.roots.first() : kvm.roots.after(previous);
    while (root !== NO_PAGE) {
      if (!(validOnly && kvm.roots.isInvalid(root)) && (yield* kvm.roots.tryGet(root))) break;
      root = yield* kvm.roots.after(root);
    }
    yield* kvm.rcu.readUnlock();
    if (previous !== NO_PAGE) yield* this.putRoot(kvm, previous, shared);
    return root;
  },

  *putRoot(kvm, root) {
    if ((yield* kvm.roots.drop(root)) > 0) return;
    yield* kvm.pagesLock.lock();
    yield* kvm.roots.unlink(root);
    yield* kvm.pagesLock.unlock();
    yield* kvm.rcu.call('rcu', () => kvm.pages.free(root));
  },

  *allocRoot(kvm, role) {
    yield* kvm.pagesLock.lock();
    let root = yield* kvm.roots.first();
    while (root !== NO_PAGE) {
      const matches = !kvm.roots.isInvalid(root) && kvm.roots.matches(root, role);
      if (matches && (yield* kvm.roots.tryGet(root))) break;
      root = yield* kvm.roots.after(root);
    }
    if (root === NO_PAGE) {
      root = yield* kvm.roots.alloc(role);
      // one reference for the vCPU, one for the MMU, which drops it once the invalid root is zapped
      if (root !== NO_PAGE) yield* kvm.roots.link(root, 2);
    }
    yield* kvm.pagesLock.unlock();
    return root;
  },

  *loadMmu(kvm, vcpu, context) {
    yield* kvm.mmuLock.readLock();
    const root = yield* this.allocRoot(kvm, roleOf(context));
    if (root !== NO_PAGE) yield* kvm.setRoot(vcpu, context, root);
    yield* kvm.mmuLock.readUnlock();
    if (root !== NO_PAGE) yield* vcpu.tlb.flush();
    return root !== NO_PAGE;
  },

  *freeObsoleteRoots(kvm, vcpu) {
    for (const context of CONTEXTS.keys()) {
      const root = yield* kvm.rootOf(vcpu, context);
      if (root === NO_PAGE || !(yield* kvm.roots.isObsolete(root))) continue;
      yield* kvm.mmuLock.readLock();
      yield* kvm.setRoot(vcpu, context, NO_PAGE);
      yield* this.putRoot(kvm, root, true);
      yield* kvm.mmuLock.readUnlock();
    }
  },

  *invalidateRoots(kvm) {
    for (const root of kvm.roots.all())
      if (!kvm.roots.isInvalid(root)) yield* kvm.roots.invalidate(root);
  },

  *zapInvalidatedRoots(kvm) {
    let root = yield* this.nextRoot(kvm, NO_PAGE, false, true);
    while (root !== NO_PAGE) {
      if (kvm.roots.isScheduled(root)) {
        yield* this.zapRoot(kvm, root, true);
        // the MMU's own reference
        if (yield* kvm.roots.zapped(root)) yield* this.putRoot(kvm, root, true);
      }
      root = yield* this.nextRoot(kvm, root, false, true);
    }
  },

  *zapAllFast(kvm) {
    yield* kvm.slotsLock.lock();
    yield* this.zapAllLocked(kvm);
    yield* kvm.slotsLock.unlock();
  },

  *zapAllLocked(kvm) {
    const all = kvm.tables.span(kvm.tables.rootLevel + 1);
    kvm.promise('zap-all', 0, 0, all);
    yield* kvm.mmuLock.writeLock();
    yield* kvm.shadow.zapAll();
    yield* this.invalidateRoots(kvm);
    // under mmu_lock: once it is dropped, no vCPU is in the guest with an invalid root (K23)
    yield* requestAllAndWait(
      kvm.vcpus.map(({ vcpu }) => vcpu),
      REQ_FREE_OBSOLETE_ROOTS,
    );
    yield* kvm.mmuLock.writeUnlock();
    yield* kvm.mmuLock.readLock();
    yield* this.zapInvalidatedRoots(kvm);
    yield* kvm.mmuLock.readUnlock();
    kvm.keep('zap-all', 0, 0, all);
  },
};
