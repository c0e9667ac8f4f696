/**
 * Installing a mapping, with mmu_lock held for read (K11 to K15, K25). Tables are added from the
 * top down, each complete before it is linked; a fault that loses a race rereads the entry, and one
 * that meets a FROZEN entry retries.
 */
import { Walk } from '../../spec/kvm/iterator.ts';
import {
  permits,
  RET_EMULATE,
  RET_FIXED,
  RET_RETRY,
  RET_SPURIOUS,
  type Fault,
  type FaultAnswer,
} from '../../spec/kvm/kvm.ts';
import { NO_MEMSLOT } from '../../spec/kvm/memslots.ts';
import { SPECIAL_ROOT } from '../../spec/kvm/roots.ts';
import {
  ACCESSED,
  DIRTY,
  EXECUTABLE,
  flagsOfSpte,
  FROZEN,
  HOST_WRITABLE,
  isLeafSpte,
  kindOfSpte,
  leafSpte,
  mmioSpte,
  MMU_WRITABLE,
  pageOfSpte,
  TABLE,
  tableSpte,
  WRITABLE,
} from '../../spec/kvm/spte.ts';
import { DIRECT_TABLE } from '../../spec/kvm/tables.ts';
import { NO_PAGE } from '../../spec/machine/pages.ts';
import { addressOf, memoryOf } from './fault.ts';
import type { Part } from './tdp-mmu.ts';

/** The table exists only because a huge page would not be executable. */
const standsForHuge = ({ exec, slot }: Fault, { level }: Walk): boolean =>
  exec && level === 1 && slot !== NO_MEMSLOT;

export const maps: Part<
  | 'mappingLevel'
  | 'map'
  | 'mapTargetLevel'
  | 'makeLeaf'
  | 'addTable'
  | 'linkTable'
  | 'fillSplit'
  | 'trackNx'
  | 'prepareTable'
  | 'tableLinked'
> = {
  *mappingLevel(kvm, fault) {
    const { slot, gfn, exec } = fault;
    if (slot === NO_MEMSLOT || kvm.slots.isLogged(slot) || exec) return 0;
    const first = kvm.tables.align(gfn, 1);
    const end = kvm.slots.gfnOf(slot) + kvm.slots.place(slot).pages;
    if (first < kvm.slots.gfnOf(slot) || first + kvm.tables.span(1) > end) return 0;
    for (let at = first; at < first + kvm.tables.span(1); at++)
      if (kvm.m.peek(kvm.tracked + at) !== 0) return 0;
    if (fault.asId === 0 && kvm.attributes.isMixed(first, kvm.tables.span(1))) return 0;
    return yield* memoryOf(kvm, fault).mappingLevel(addressOf(kvm, fault));
  },

  *map(kvm, _vcpu, fault) {
    if (fault.root === SPECIAL_ROOT) return RET_FIXED; // the shadow MMU maps it in its own tables
    yield* kvm.rcu.readLock();
    fault.goal = yield* this.mappingLevel(kvm, fault);
    const walk = new Walk(kvm.tables, { root: fault.root, first: fault.gfn, end: fault.gfn + 1 });
    let result: FaultAnswer | null = null;
    while (result === null && (yield* walk.next())) {
      while (result === null && !(walk.level > fault.goal && kindOfSpte(walk.spte) === TABLE)) {
        const isNxTable = kindOfSpte(walk.spte) === TABLE && kvm.nx.isMarked(pageOfSpte(walk.spte));
        if (walk.spte === FROZEN) result = RET_RETRY;
        else if (walk.level === fault.goal && walk.level > 0 && isNxTable) fault.goal--;
        else if (walk.level === fault.goal) result = yield* this.mapTargetLevel(kvm, fault, walk);
        else if (!(yield* this.addTable(kvm, fault, walk))) result = RET_RETRY;
      }
    }
    yield* kvm.rcu.readUnlock();
    return result ?? RET_RETRY;
  },

  *addTable(kvm, fault, walk) {
    const table = yield* kvm.tables.alloc(DIRECT_TABLE, walk.level - 1, walk.gfn);
    if (table === NO_PAGE) return false;
    yield* this.prepareTable(kvm, fault, walk, table);
    if (isLeafSpte(walk.spte)) yield* this.fillSplit(kvm, walk.spte, table);
    if (!(yield* this.linkTable(kvm, walk, table))) {
      yield* kvm.freeTable(table);
      return true; // another actor changed the entry: reread it
    }
    yield* this.tableLinked(kvm, fault, walk, table);
    return true;
  },

  *prepareTable(kvm, fault, walk, table) {
    yield* kvm.tables.makeReady(table, walk.table);
    if (standsForHuge(fault, walk)) yield* kvm.nx.disallow(table);
  },

  *tableLinked(kvm, fault, walk, table) {
    if (standsForHuge(fault, walk)) yield* this.trackNx(kvm, table);
  },

  *linkTable(kvm, walk, table) {
    return yield* this.setSpteAtomic(kvm, walk, tableSpte(table));
  },

  *fillSplit(kvm, huge, table) {
    // huge pages are not executable, small ones are
    const flags = flagsOfSpte(huge) | EXECUTABLE;
    for (let i = 0; i < kvm.tables.fanout; i++)
      yield* kvm.tables.write(table, i, leafSpte(pageOfSpte(huge) + i, flags));
  },

  *trackNx(kvm, table) {
    yield* kvm.pagesLock.lock();
    // a zapper may have unlinked the table meanwhile; it clears the mark under the same lock
    if (yield* kvm.nx.isDisallowed(table)) yield* kvm.nx.add(table);
    yield* kvm.pagesLock.unlock();
  },

  *mapTargetLevel(kvm, fault, walk) {
    const before = walk.spte;
    if (permits(before, fault)) return RET_SPURIOUS;
    if (fault.slot === NO_MEMSLOT) {
      // a slot was created since the lookup (Linux writes MMIO over the leaf, without a flush:
      // docs/findings.md, F9)
      if (isLeafSpte(before)) return RET_RETRY;
      const value = mmioSpte(kvm.m.peek(kvm.slots.generation));
      return value === before || (yield* this.setSpteAtomic(kvm, walk, value))
        ? RET_EMULATE
        : RET_RETRY;
    }
    const leaf = this.makeLeaf(kvm, fault, walk.level);
    if ((leaf & WRITABLE) !== 0) yield* kvm.slots.markDirty(fault.slot, fault.gfn);
    if (leaf === before) return RET_SPURIOUS;
    if (!(yield* this.setSpteAtomic(kvm, walk, leaf))) return RET_RETRY;
    if (kindOfSpte(before) === TABLE) yield* kvm.flushRange(walk.gfn, kvm.tables.span(walk.level));
    return RET_FIXED;
  },

  makeLeaf(kvm, fault, level) {
    const first = fault.page - (level === 0 ? 0 : fault.gfn - kvm.tables.align(fault.gfn, level));
    // huge pages are not executable: iTLB multihit
    let flags = (level === 0 ? EXECUTABLE : 0) | (fault.prefetch ? 0 : ACCESSED);
    if (fault.hostWritable) {
      flags |= HOST_WRITABLE;
      if (kvm.m.peek(kvm.tracked + fault.gfn) === 0) flags |= WRITABLE | MMU_WRITABLE | DIRTY;
    }
    return leafSpte(first, flags);
  },
};
