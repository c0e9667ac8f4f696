/** Faulty MMUs for K rules that no known bug breaks: the direct roots' MMU with one change. */
import { tdpMmu } from '../../../impl/tdp-mmu/index.ts';
import type { TdpMmu } from '../../../impl/tdp-mmu/tdp-mmu.ts';
import { Walk } from '../../../spec/kvm/iterator.ts';
import { RET_CONTINUE, RET_FIXED, RET_RETRY } from '../../../spec/kvm/kvm.ts';
import {
  DIRTY,
  EMPTY,
  FROZEN,
  isLeafSpte,
  kindOfSpte,
  TABLE,
  tableSpte,
  WRITABLE,
} from '../../../spec/kvm/spte.ts';
import { DIRECT_TABLE } from '../../../spec/kvm/tables.ts';
import { NO_PAGE } from '../../../spec/machine/pages.ts';

type Change = Partial<TdpMmu> & ThisType<TdpMmu>;

/** The rule that breaks, the fault as a verb phrase, and the change. */
export const FAULTY: readonly (readonly [rule: string, fault: string, change: Change])[] = [
  [
    'K1',
    'zaps leaves without mmu_lock',
    {
      *trackGfn(kvm, slot, gfn) {
        yield* kvm.rcu.readLock();
        let root = yield* kvm.roots.first();
        for (; root !== NO_PAGE; root = yield* kvm.roots.after(root)) {
          if (kvm.roots.asIdOf(root) !== kvm.slots.place(slot).asId) continue;
          const { table, index, spte } = yield* kvm.tables.walkFrom(root, gfn, 0);
          if (isLeafSpte(spte)) yield* kvm.tables.cmpxchg(table, index, spte, EMPTY);
        }
        yield* kvm.rcu.readUnlock();
      },
    },
  ],

  [
    'K2',
    'exchanges entries with mmu_lock held for read',
    {
      *setSpteAtomic(kvm, walk, value) {
        const before = yield* kvm.tables.write(walk.table, walk.index, value);
        yield* this.handleChanged(kvm, before, value, true);
        walk.spte = value;
        return true;
      },
    },
  ],

  [
    'K5',
    'leaves its read section before it flushes the table that it unlinked',
    {
      *recoverNx(kvm) {
        yield* kvm.mmuLock.readLock();
        yield* kvm.rcu.readLock();
        const table = yield* this.firstNxTable(kvm);
        const flush = table >= 0 && (yield* this.zapPossibleNxHugePage(kvm, table));
        yield* kvm.rcu.readUnlock();
        if (flush) yield* kvm.flushAll();
        yield* kvm.mmuLock.readUnlock();
      },
    },
  ],

  [
    'K8',
    'ignores kvm_unmap_gfn_range()',
    {
      *unmapGfnRange() {
        return false;
      },
    },
  ],

  [
    'K10',
    'empties frozen entries before it frees their table',
    {
      *handleRemovedTable(kvm, table, shared) {
        yield* this.unlinkTable(kvm, table);
        for (let i = 0; i < kvm.tables.fanout; i++) {
          const before = yield* kvm.tables.write(table, i, FROZEN);
          yield* this.handleChanged(kvm, before, FROZEN, shared);
        }
        yield* kvm.rcu.call('rcu', function* () {
          for (let i = 0; i < kvm.tables.fanout; i++) yield* kvm.tables.write(table, i, EMPTY);
          yield* kvm.pages.free(table);
        });
      },
    },
  ],

  [
    'K11',
    'treats FROZEN as empty',
    {
      *recoverNx(kvm) {
        // freezes an empty entry for a while, so that faults meet it
        yield* kvm.mmuLock.readLock();
        yield* kvm.rcu.readLock();
        const root = yield* kvm.roots.first();
        const index = 0;
        const spte = root === NO_PAGE ? FROZEN : yield* kvm.tables.read(root, index);
        if (spte === EMPTY && (yield* kvm.tables.cmpxchg(root, index, EMPTY, FROZEN))) {
          yield* kvm.m.relax(kvm.slots.generation);
          yield* kvm.tables.cmpxchg(root, index, FROZEN, EMPTY);
        }
        yield* kvm.rcu.readUnlock();
        yield* kvm.mmuLock.readUnlock();
      },
      *map(kvm, _vcpu, fault) {
        if (fault.root < 0) return RET_FIXED;
        yield* kvm.rcu.readLock();
        const walk = new Walk(kvm.tables, {
          root: fault.root,
          first: fault.gfn,
          end: fault.gfn + 1,
        });
        while (yield* walk.next()) {
          if (walk.level > 0 && kindOfSpte(walk.spte) !== TABLE)
            yield* this.addTable(kvm, fault, walk);
          if (walk.level === 0) yield* this.mapTargetLevel(kvm, fault, walk);
        }
        yield* kvm.rcu.readUnlock();
        return RET_RETRY;
      },
    },
  ],

  [
    'K15',
    'rewrites leaves that permit the access already, without D',
    {
      *fastPageFault() {
        return RET_CONTINUE;
      },
      *mapTargetLevel(kvm, fault, walk) {
        const leaf = this.makeLeaf(kvm, fault, walk.level) & ~DIRTY;
        return fault.slot < 0 || (yield* this.setSpteAtomic(kvm, walk, leaf))
          ? RET_FIXED
          : RET_RETRY;
      },
    },
  ],

  [
    'K17',
    'replaces a table by a new table',
    {
      *zapPossibleNxHugePage(kvm, table) {
        const parent = kvm.tables.parentOf(table);
        const index = kvm.tables.index(kvm.tables.gfnOf(table, 0), 1);
        const fresh = yield* kvm.tables.alloc(DIRECT_TABLE, 0, kvm.tables.gfnOf(table, 0));
        if (fresh === NO_PAGE) return false;
        yield* kvm.tables.makeReady(fresh, parent);
        return yield* kvm.tables.cmpxchg(parent, index, tableSpte(table), tableSpte(fresh));
      },
    },
  ],

  [
    'K18',
    'zaps the neighbour of the table that it recovers',
    {
      *zapPossibleNxHugePage(kvm, table) {
        const parent = kvm.tables.parentOf(table);
        const index = kvm.tables.index(kvm.tables.gfnOf(table, 0), 1) ^ 1;
        const spte = yield* kvm.tables.read(parent, index);
        const done = yield* kvm.tables.cmpxchg(parent, index, spte, EMPTY);
        if (done) yield* this.handleChanged(kvm, spte, EMPTY, true);
        return done;
      },
    },
  ],

  [
    'K19',
    'leaves a shadowed page MMU-writable',
    {
      *trackGfn(kvm, slot, gfn, tracked) {
        yield* kvm.mmuLock.writeLock();
        kvm.promise('track', 0, gfn, 1);
        yield* kvm.m.write(kvm.tracked + gfn, tracked ? 1 : 0);
        for (const root of kvm.roots.all()) {
          if (kvm.roots.asIdOf(root) !== kvm.slots.place(slot).asId) continue;
          const { table, index, spte } = yield* kvm.tables.walkFrom(root, gfn, 0);
          if (isLeafSpte(spte)) yield* kvm.tables.clearBits(table, index, WRITABLE);
        }
        yield* kvm.flushAll();
        if (tracked) kvm.keep('track', 0, gfn, 1);
        yield* kvm.mmuLock.writeUnlock();
      },
    },
  ],

  [
    'K21',
    'flushes one page, however many it zapped',
    {
      *zapGfnRange(kvm, gfn, pages) {
        yield* kvm.mmuLock.writeLock();
        yield* kvm.invalidation.begin(gfn, pages);
        for (const root of kvm.roots.all()) {
          yield* this.zapLeafs(kvm, root, gfn, gfn + pages, { mayYield: false, flush: false });
        }
        yield* kvm.flushRange(gfn, 1);
        yield* kvm.invalidation.end();
        yield* kvm.mmuLock.writeUnlock();
      },
    },
  ],

  [
    'K23',
    'invalidates roots without a request to the vCPUs',
    {
      *zapAllLocked(kvm) {
        yield* kvm.mmuLock.writeLock();
        yield* this.invalidateRoots(kvm);
        yield* kvm.mmuLock.writeUnlock();
        yield* kvm.mmuLock.readLock();
        yield* this.zapInvalidatedRoots(kvm);
        yield* kvm.mmuLock.readUnlock();
      },
    },
  ],

  [
    'K26',
    'zaps the leaves of a root but not its tables',
    {
      *zapRoot(kvm, root, shared) {
        yield* this.zapRootLevel(kvm, root, shared, 0);
      },
    },
  ],

  [
    'K28',
    'resumes beyond the GFN at which it yielded',
    {
      *condResched(kvm, walk, flush, shared) {
        const yielded = yield* tdpMmu.condResched.call(this, kvm, walk, flush, shared);
        if (yielded) walk.nextGfn += kvm.tables.span(kvm.tables.rootLevel);
        return yielded;
      },
    },
  ],

  [
    'K30',
    'yields although the notifier may not sleep',
    {
      *unmapGfnRange(kvm, slot, gfn, pages) {
        return yield* tdpMmu.unmapGfnRange.call(this, kvm, slot, gfn, pages, true);
      },
    },
  ],

  [
    'K31',
    'counts one reference for a new root',
    {
      *allocRoot(kvm, role) {
        yield* kvm.pagesLock.lock();
        const root = yield* kvm.roots.alloc(role);
        if (root !== NO_PAGE) yield* kvm.roots.link(root, 1);
        yield* kvm.pagesLock.unlock();
        return root;
      },
    },
  ],

  [
    'K34',
    'lets vCPUs load invalid roots',
    {
      *allocRoot(kvm, role) {
        yield* kvm.pagesLock.lock();
        let root = yield* kvm.roots.first();
        while (root !== NO_PAGE && !kvm.roots.matches(root, role))
          root = yield* kvm.roots.after(root);
        if (root !== NO_PAGE) yield* kvm.roots.tryGet(root);
        else {
          root = yield* kvm.roots.alloc(role);
          if (root !== NO_PAGE) yield* kvm.roots.link(root, 2);
        }
        yield* kvm.pagesLock.unlock();
        return root;
      },
    },
  ],

  [
    'K35',
    'frees nothing when the VM is destroyed',
    {
      *destroyVm() {},
    },
  ],
];
