/** Zapping: the leaves of a range, or all of a root (K16, K20, K22, K26). */
import { Walk } from '../../spec/kvm/iterator.ts';
import { EMPTY, isLeafSpte, isPresent } from '../../spec/kvm/spte.ts';
import { NO_PAGE } from '../../spec/machine/pages.ts';
import type { Part } from './tdp-mmu.ts';

export const zaps: Part<
  | 'zapRoot'
  | 'zapRootLevel'
  | 'zapLeafs'
  | 'unmapGfnRange'
  | 'zapGfnRange'
  | 'beginZap'
  | 'endZap'
  | 'convert'
  | 'beginConversion'
  | 'punchHole'
> = {
  *zapRoot(kvm, root, shared) {
    // in passes, so that no table is disposed of together with a large subtree (K27)
    for (let level = 0; level <= kvm.tables.rootLevel; level++)
      yield* this.zapRootLevel(kvm, root, shared, level);
  },

  *zapRootLevel(kvm, root, shared, level) {
    yield* kvm.rcu.readLock();
    const walk = new Walk(kvm.tables, {
      root,
      first: 0,
      end: kvm.tables.span(kvm.tables.rootLevel + 1),
      minLevel: level,
    });
    while (yield* walk.next()) {
      if (yield* this.condResched(kvm, walk, false, shared)) continue;
      while (isPresent(walk.spte) && walk.level <= level) {
        if (!shared) yield* this.setSpte(kvm, walk, EMPTY);
        else if (yield* this.setSpteAtomic(kvm, walk, EMPTY)) break;
      }
    }
    yield* kvm.rcu.readUnlock();
  },

  *zapLeafs(kvm, root, gfn, end, options) {
    let { flush } = options;
    yield* kvm.rcu.readLock();
    const walk = new Walk(kvm.tables, { root, first: gfn, end });
    while (yield* walk.next()) {
      if (options.mayYield && (yield* this.condResched(kvm, walk, flush, false))) {
        flush = false;
        continue;
      }
      if (!isLeafSpte(walk.spte)) continue;
      yield* this.setSpte(kvm, walk, EMPTY);
      // a vCPU flushes when it loads another root; no vCPU uses an invalid one (K23)
      if (!kvm.roots.isInvalid(root)) flush = true;
    }
    yield* kvm.rcu.readUnlock();
    return flush;
  },

  *unmapGfnRange(kvm, slot, gfn, pages, mayBlock) {
    const { asId } = kvm.slots.place(slot);
    let flush = false;
    if (asId === 0) yield* kvm.shadow.zapRange(gfn, pages);
    let root = yield* this.nextRoot(kvm, NO_PAGE, false, false);
    while (root !== NO_PAGE) {
      if (kvm.roots.asIdOf(root) === asId) {
        flush = yield* this.zapLeafs(kvm, root, gfn, gfn + pages, { mayYield: mayBlock, flush });
      }
      root = yield* this.nextRoot(kvm, root, false, false);
    }
    return flush;
  },

  *beginZap(kvm, gfn, pages) {
    yield* kvm.invalidation.begin(gfn, pages);
  },

  *endZap(kvm) {
    yield* kvm.invalidation.end();
  },

  *zapGfnRange(kvm, gfn, pages) {
    kvm.promise('zap', 0, gfn, pages);
    yield* kvm.mmuLock.writeLock();
    yield* this.beginZap(kvm, gfn, pages);
    yield* kvm.shadow.zapRange(gfn, pages);
    let flush = false;
    let root = yield* this.nextRoot(kvm, NO_PAGE, true, false);
    while (root !== NO_PAGE) {
      flush = yield* this.zapLeafs(kvm, root, gfn, gfn + pages, { mayYield: true, flush });
      root = yield* this.nextRoot(kvm, root, true, false);
    }
    if (flush) yield* kvm.flushRange(gfn, pages);
    yield* this.endZap(kvm);
    yield* kvm.mmuLock.writeUnlock();
    kvm.keep('zap', 0, gfn, pages);
  },

  *convert(kvm, gfn, isPrivate) {
    yield* kvm.slotsLock.lock();
    kvm.promise('convert', 0, gfn, 1);
    yield* kvm.mmuLock.writeLock();
    const { first, pages } = yield* this.beginConversion(kvm, gfn);
    const slot = kvm.slots.find(0, gfn);
    if (slot >= 0 && (yield* this.unmapGfnRange(kvm, slot, first, pages, true)))
      yield* kvm.flushRange(first, pages);
    yield* kvm.mmuLock.writeUnlock();
    yield* kvm.attributes.set(gfn, isPrivate);
    yield* kvm.mmuLock.writeLock();
    yield* kvm.invalidation.end();
    yield* kvm.mmuLock.writeUnlock();
    kvm.keep('convert', 0, gfn, 1);
    yield* kvm.slotsLock.unlock();
  },

  *punchHole(kvm, gfn, pages, reclaim) {
    yield* kvm.mmuLock.writeLock();
    yield* kvm.invalidation.begin(gfn, pages);
    const slot = kvm.slots.find(0, gfn);
    if (slot >= 0 && (yield* this.unmapGfnRange(kvm, slot, gfn, pages, true)))
      yield* kvm.flushRange(gfn, pages);
    yield* kvm.mmuLock.writeUnlock();
    yield* reclaim();
    yield* kvm.mmuLock.writeLock();
    yield* kvm.invalidation.end();
    yield* kvm.mmuLock.writeUnlock();
  },

  *beginConversion(kvm, gfn) {
    const range = { first: kvm.tables.align(gfn, 1), pages: kvm.tables.span(1) };
    yield* kvm.invalidation.begin(range.first, range.pages);
    return range;
  },
};
