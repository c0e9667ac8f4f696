/** Policies for ordinary VMs with faults that the known bugs show in few runs, or in none. */
import { tdpMmu } from '../../../impl/tdp-mmu/index.ts';
import type { TdpMmu } from '../../../impl/tdp-mmu/tdp-mmu.ts';
import { RET_FIXED, RET_SPURIOUS } from '../../../spec/kvm/kvm.ts';
import { NO_MEMSLOT } from '../../../spec/kvm/memslots.ts';
import { isLeafSpte, MMU_WRITABLE } from '../../../spec/kvm/spte.ts';

type Change = Partial<TdpMmu> & ThisType<TdpMmu>;

/** Rule, what the policy does wrong, the change. */
export const FAULTY_VMS: readonly (readonly [rule: string, fault: string, change: Change])[] = [
  [
    'K2',
    'stores entries with mmu_lock held for read',
    {
      *setSpteAtomic(kvm, walk, value) {
        yield* kvm.tables.store(walk.table, walk.index, walk.spte, value);
        yield* this.handleChanged(kvm, walk.spte, value, true);
        walk.spte = value;
        return true;
      },
    },
  ],

  [
    'K5',
    'frees tables that entries point to',
    {
      *linkTable(kvm, walk, table) {
        const linked = yield* tdpMmu.linkTable.call(this, kvm, walk, table);
        if (linked) yield* kvm.rcu.call('rcu', () => kvm.pages.free(table));
        return linked;
      },
    },
  ],

  [
    'K12',
    'maps a huge page from its second page on',
    {
      makeLeaf(kvm, fault, level) {
        return tdpMmu.makeLeaf.call(this, kvm, fault, level) + (level === 0 ? 0 : 1);
      },
    },
  ],

  [
    'K19',
    'makes pages writable that are not MMU-writable',
    {
      makeLeaf(kvm, fault, level) {
        return tdpMmu.makeLeaf.call(this, kvm, fault, level) & ~MMU_WRITABLE;
      },
    },
  ],

  [
    'K25',
    'replaces a table by a huge page without a flush',
    {
      *mapTargetLevel(kvm, fault, walk) {
        const before = walk.spte;
        if (fault.slot === NO_MEMSLOT || isLeafSpte(before))
          return yield* tdpMmu.mapTargetLevel.call(this, kvm, fault, walk);
        const done = yield* this.setSpteAtomic(kvm, walk, this.makeLeaf(kvm, fault, walk.level));
        return done ? RET_FIXED : RET_SPURIOUS;
      },
    },
  ],

  [
    'K33',
    'does not check whether the root of a fault is obsolete',
    {
      *isPageFaultStale(kvm, _vcpu, fault) {
        return fault.slot !== NO_MEMSLOT && (yield* kvm.invalidation.isStale(fault.seq, fault.gfn));
      },
    },
  ],

  [
    'K38',
    'ends invalidations without mmu_lock',
    {
      *punchHole(kvm, gfn, pages, reclaim) {
        yield* kvm.mmuLock.writeLock();
        yield* kvm.invalidation.begin(gfn, pages);
        const slot = kvm.slots.find(0, gfn);
        if (slot >= 0 && (yield* this.unmapGfnRange(kvm, slot, gfn, pages, true)))
          yield* kvm.flushRange(gfn, pages);
        yield* kvm.mmuLock.writeUnlock();
        yield* reclaim();
        yield* kvm.invalidation.end();
      },
    },
  ],

  [
    'K13',
    'fills the table of a split with its first page only',
    {
      *fillSplit(kvm, huge, table) {
        yield* tdpMmu.fillSplit.call(this, kvm, huge, table);
        const small = yield* kvm.tables.read(table, 0);
        for (let i = 1; i < kvm.tables.fanout; i++) yield* kvm.tables.write(table, i, small);
      },
    },
  ],
];
