/** Notifiers of the primary MMU: zapping pages, and aging them (K22, K38). */
import { Walk } from '../../spec/kvm/iterator.ts';
import type { Kvm } from '../../spec/kvm/kvm.ts';
import { SLOT_ABSENT, type Slot } from '../../spec/kvm/memslots.ts';
import { ACCESS_TRACKED, ACCESSED, isLeafSpte, WRITABLE } from '../../spec/kvm/spte.ts';
import { NO_PAGE } from '../../spec/machine/pages.ts';
import type { Steps } from '../../spec/machine/step.ts';
import type { Part } from './tdp-mmu.ts';

/** The part of a slot that a range of user addresses meets, in GFNs. */
interface SlotRange {
  readonly slot: Slot;
  readonly gfn: number;
  readonly pages: number;
}

/** Returns the slots that a range of user addresses meets now. */
export function slotsAt(kvm: Kvm, hva: number, pages: number): SlotRange[] {
  return kvm.slots.places.flatMap((place, slot): SlotRange[] => {
    const from = Math.max(hva, place.hva);
    const to = Math.min(hva + pages, place.hva + place.pages);
    if (kvm.slots.stateOf(slot) === SLOT_ABSENT || from >= to) return [];
    return [{ slot, gfn: kvm.slots.gfnOf(slot) + from - place.hva, pages: to - from }];
  });
}

export const notifiers: Part<'invalidateRange' | 'ageRange'> = {
  *invalidateRange(kvm, hva, pages, mayBlock, reclaim) {
    yield* kvm.m.add(kvm.activeNotifiers, 1);
    yield* kvm.srcu.readLock();
    const ranges = slotsAt(kvm, hva, pages);
    let flush = false;
    for (const [i, { slot, gfn, pages: count }] of ranges.entries()) {
      if (i === 0) {
        yield* kvm.mmuLock.writeLock();
        yield* kvm.invalidation.begin(gfn, count);
      } else yield* kvm.invalidation.extend(gfn, count);
      flush = (yield* this.unmapGfnRange(kvm, slot, gfn, count, mayBlock)) || flush;
    }
    if (flush) yield* kvm.flushAll();
    if (ranges.length > 0) yield* kvm.mmuLock.writeUnlock();
    yield* kvm.srcu.readUnlock();
    yield* reclaim();
    yield* endInvalidation(kvm, hva, pages);
    yield* kvm.m.add(kvm.activeNotifiers, -1);
  },

  *ageRange(kvm, hva, pages) {
    yield* kvm.srcu.readLock();
    yield* kvm.rcu.readLock();
    for (const { slot, gfn, pages: count } of slotsAt(kvm, hva, pages)) {
      for (
        let root = yield* kvm.roots.first();
        root !== NO_PAGE;
        root = yield* kvm.roots.after(root)
      ) {
        if (kvm.roots.isInvalid(root) || kvm.roots.asIdOf(root) !== kvm.slots.place(slot).asId)
          continue;
        const walk = new Walk(kvm.tables, { root, first: gfn, end: gfn + count });
        while (yield* walk.next()) yield* age(kvm, walk, kvm.roots.adDisabled(root));
      }
    }
    yield* kvm.rcu.readUnlock();
    yield* kvm.srcu.readUnlock();
  },
};

/** The second half of a notifier. It looks the slots up again, so they must not have changed. */
function* endInvalidation(kvm: Kvm, hva: number, pages: number): Steps<void> {
  yield* kvm.srcu.readLock();
  if (slotsAt(kvm, hva, pages).length > 0) {
    yield* kvm.mmuLock.writeLock();
    yield* kvm.invalidation.end();
    yield* kvm.mmuLock.writeUnlock();
  }
  yield* kvm.srcu.readUnlock();
}

/** Clears the accessed state of a leaf, without a flush: a page may look older than it is. */
function* age(kvm: Kvm, walk: Walk, adDisabled: boolean): Steps<void> {
  const { table, index, spte } = walk;
  if (!isLeafSpte(spte)) return;
  if (!adDisabled) {
    // a failed cmpxchg is fine: the page is in use
    if ((spte & ACCESSED) !== 0) yield* kvm.tables.cmpxchg(table, index, spte, spte & ~ACCESSED);
  } else if ((spte & ACCESS_TRACKED) === 0) {
    yield* kvm.tables.cmpxchg(table, index, spte, (spte & ~(WRITABLE | ACCESSED)) | ACCESS_TRACKED);
  }
}
