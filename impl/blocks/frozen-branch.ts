/**
 * Freeing a branch from an RCU callback while its mirror entry is FROZEN (P6, mended): the entry is
 * no longer present, so that faults retry, but it is not free either, so that none of them asks the
 * module for a new table where the old one still is. The host gets the pages back, and other zaps
 * of the range go on, when the callback has removed the branch from the Secure EPT.
 */
import { EMPTY, FROZEN, kindOfSpte, LEAF, pageOfSpte, TABLE } from '../../spec/kvm/spte.ts';
import type { SptePlace } from '../../spec/kvm/tables.ts';
import type { Steps } from '../../spec/machine/step.ts';
import { pageRemove } from '../../spec/tdx/functions/page-remove.ts';
import { rangeBlock } from '../../spec/tdx/functions/range-block.ts';
import { septRemove } from '../../spec/tdx/functions/sept-remove.ts';
import * as S from '../../spec/tdx/status.ts';
import type { Policy } from '../vm/policy.ts';
import { isStatus, mapping, type Vm } from '../vm/vm.ts';
import {
  childBranch,
  freeBranch,
  removeBelow,
  trackIn,
  type BranchDisposal,
  type CallModule,
  type PrunedBranch,
} from './pruned-branch.ts';
import { demotePage } from './resize.ts';
import {
  invalidating,
  removeSlotUnder,
  returnPages,
  unmapUnder,
  writeBack,
  zapLeaves,
} from './zap.ts';

/** The entry points of a policy that freezes a branch until a callback has disposed of it. */
export const freezingBranches = (
  disposal: BranchDisposal,
): Pick<Policy, 'removeTable' | 'unmap' | 'removeSlot'> => ({
  *removeTable(vm, gfn, level) {
    const first = vm.tdx.geometry.align(gfn, level);
    const pages = vm.mirror.span(level);
    yield* invalidating(
      vm,
      function* () {
        yield* waitForBranches(vm, first, pages);
        const place = yield* vm.mirror.walk(first, level);
        if (place.level === level && kindOfSpte(place.spte) === TABLE)
          yield* freeze(vm, place, first, disposal);
        else yield* zapLeaves(vm, first, pages, demotePage);
      },
      function* () {
        yield* vm.rcu.barrier();
        yield* returnPages(vm, first, pages);
      },
    );
  },
  *unmap(vm, gfn, pages) {
    yield* unmapUnder(vm, gfn, pages, () => zapBeside(vm, gfn, pages));
  },
  *removeSlot(vm) {
    yield* removeSlotUnder(vm, () => zapBeside(vm, 0, vm.td.slotPages));
  },
});

/** Zaps leaves, after the branches of the range are gone. */
function* zapBeside(vm: Vm, gfn: number, pages: number): Steps<void> {
  yield* waitForBranches(vm, gfn, pages);
  yield* zapLeaves(vm, gfn, pages, demotePage);
}

/** Freezes the branch at `place` and queues the callback that disposes of it. */
function* freeze(
  vm: Vm,
  place: SptePlace,
  gfn: number,
  { prepare, dispose }: BranchDisposal,
): Steps<void> {
  const branch = { table: pageOfSpte(place.spte), gfn, level: place.level };
  yield* vm.mirror.write(place.table, place.index, FROZEN);
  yield* prepare(vm, branch);
  yield* vm.rcu.call('rcu', function* () {
    yield* dispose(vm, branch);
    yield* vm.mirror.write(place.table, place.index, EMPTY);
    yield* freeBranch(vm, branch);
  });
}

/**
 * Waits until no entry of the range is FROZEN: with mmu_lock held for write, only branches are. The
 * caller has begun an invalidation, or the memslot is invalid; mmu_lock is dropped meanwhile.
 */
function* waitForBranches(vm: Vm, gfn: number, pages: number): Steps<void> {
  for (let at = gfn; at < gfn + pages;) {
    const place = yield* vm.mirror.walk(at, 0);
    if (place.spte === FROZEN) {
      yield* vm.mmuLock.writeUnlock();
      yield* vm.rcu.barrier();
      yield* vm.mmuLock.writeLock();
      at = gfn;
    } else at = vm.tdx.geometry.align(at, place.level) + vm.mirror.span(place.level);
  }
}

/** Calls `visit` for each entry below the top one, children before their table. */
function* forEachBelow(
  vm: Vm,
  branch: PrunedBranch,
  visit: (gfn: number, level: number, page: number | null) => Steps<void>,
): Steps<void> {
  const level = branch.level - 1;
  for (let i = 0; i < vm.mirror.fanout; i++) {
    const spte = yield* vm.mirror.read(branch.table, i);
    const child = childBranch(vm, branch, i, spte);
    const isLeaf = kindOfSpte(spte) === LEAF;
    if (child !== null) yield* forEachBelow(vm, child, visit);
    if (child === null && !isLeaf) continue;
    yield* visit(branch.gfn + i * vm.mirror.span(level), level, isLeaf ? pageOfSpte(spte) : null);
  }
}

/** Removes what is below the top entry, lowest first, and then the top entry's table. */
export function* removeBranch(vm: Vm, branch: PrunedBranch, call: CallModule): Steps<void> {
  yield* forEachBelow(vm, branch, function* (gfn, level, page) {
    yield* call(vm, page === null ? septRemove : pageRemove, mapping(vm, gfn, level));
    if (page !== null) yield* writeBack(vm, page, level);
  });
  yield* call(vm, septRemove, mapping(vm, branch.gfn, branch.level));
}

/** Blocks every entry below the top one, and waits until no vCPU uses any of them. */
export function* blockBelow(vm: Vm, branch: PrunedBranch, call: CallModule): Steps<void> {
  yield* forEachBelow(vm, branch, (gfn, level) => call(vm, rangeBlock, mapping(vm, gfn, level)));
  yield* trackIn(vm, call);
}

/** Removes a branch that is not blocked, bottom-up, each table mapped until it is empty. */
export function* removeMapped(vm: Vm, branch: PrunedBranch, call: CallModule): Steps<void> {
  yield* removeBelow(vm, branch, call, true);
  yield* forEachBelow(vm, branch, function* (_gfn, level, page) {
    if (page !== null) yield* writeBack(vm, page, level);
  });
  const entry = mapping(vm, branch.gfn, branch.level);
  yield* call(vm, rangeBlock, entry);
  yield* trackIn(vm, call);
  yield* call(vm, septRemove, entry);
}

/** Retries while other actors are in the way: at a lock, or in an epoch that has not ended. */
export const retryWhileHindered: CallModule = function* (vm, fn, operands) {
  for (;;) {
    const call = yield* vm.seamcall(fn, operands, HINDRANCES);
    if (!HINDRANCES.some((status) => isStatus(call, status))) return;
    yield* vm.m.relax(vm.noEntry);
  }
};

const HINDRANCES = [S.OPERAND_BUSY, S.PREVIOUS_TLB_EPOCH_BUSY];
