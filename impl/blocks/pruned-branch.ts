/**
 * Freeing a branch that is no longer in the mirror from an RCU callback (P6): what the variants of
 * rcu-branch-free are made of. They differ in how the callback calls the module, and in what
 * happens to the branch before the callback is queued and inside it.
 */
import { EMPTY, kindOfSpte, LEAF, pageOfSpte, TABLE } from '../../spec/kvm/spte.ts';
import type { SptePlace } from '../../spec/kvm/tables.ts';
import type { PageRef } from '../../spec/machine/pages.ts';
import type { Steps } from '../../spec/machine/step.ts';
import type { Operands } from '../../spec/tdx/call.ts';
import { memTrack } from '../../spec/tdx/functions/mem-track.ts';
import { pageRemove } from '../../spec/tdx/functions/page-remove.ts';
import { rangeBlock } from '../../spec/tdx/functions/range-block.ts';
import { septRemove } from '../../spec/tdx/functions/sept-remove.ts';
import type { InterfaceFunction } from '../../spec/tdx/module.ts';
import * as S from '../../spec/tdx/status.ts';
import type { Policy } from '../vm/policy.ts';
import { isStatus, mapping, type Vm } from '../vm/vm.ts';
import { freeTable } from './resize.ts';
import { kickAll, track, withoutVcpus } from './seamcalls.ts';
import { returnPages, unmapUnder } from './zap.ts';

/** How a callback calls the module. */
export type CallModule = (
  vm: Vm,
  fn: InterfaceFunction,
  operands: Partial<Operands>,
) => Steps<void>;

/** As the question has it: no other actor is in the way, so every call succeeds. */
export const expectSuccess: CallModule = function* (vm, fn, operands) {
  yield* vm.seamcall(fn, operands);
};

/** Retries while the module is busy. */
export const retryWhileBusy: CallModule = function* (vm, fn, operands) {
  for (;;) {
    const call = yield* vm.seamcall(fn, operands, [S.OPERAND_BUSY]);
    if (!isStatus(call, S.OPERAND_BUSY)) return;
    yield* vm.m.relax(vm.noEntry);
  }
};

/**
 * A branch that is no longer in the mirror: the mirror table, the first GFN under it, and the level
 * of the entry that pointed to it.
 */
export interface PrunedBranch {
  readonly table: PageRef;
  readonly gfn: number;
  readonly level: number;
}

/** What a policy does about a branch that it has pruned. */
export interface BranchDisposal {
  /** Under mmu_lock: prepares the branch in the Secure EPT, before the callback is queued. */
  prepare(vm: Vm, branch: PrunedBranch): Steps<void>;
  /** In the callback: removes from the Secure EPT what is left of the branch. */
  dispose(vm: Vm, branch: PrunedBranch): Steps<void>;
}

/** The entry point of a policy that prunes a branch and disposes of it in an RCU callback. */
export const pruningBranches = (disposal: BranchDisposal): Pick<Policy, 'removeTable'> => ({
  *removeTable(vm, gfn, level) {
    const first = vm.tdx.geometry.align(gfn, level);
    yield* vm.mmuLock.writeLock();
    yield* vm.invalidation.begin();
    const place = yield* vm.mirror.walk(first, level);
    if (place.level === level && kindOfSpte(place.spte) === TABLE)
      yield* prune(vm, place, first, disposal);
    yield* vm.invalidation.end();
    yield* vm.mmuLock.writeUnlock();
  },
});

/** Prunes the branch at `place` and queues the callback that disposes of it. */
function* prune(vm: Vm, place: SptePlace, gfn: number, disposal: BranchDisposal): Steps<void> {
  const branch = { table: pageOfSpte(place.spte), gfn, level: place.level };
  yield* vm.mirror.write(place.table, place.index, EMPTY);
  yield* disposal.prepare(vm, branch);
  yield* vm.rcu.call('rcu', function* () {
    yield* disposal.dispose(vm, branch);
    yield* freeBranch(vm, branch);
    yield* returnPages(vm, gfn, vm.mirror.span(branch.level));
  });
}

/**
 * The entry point of a policy that prunes a branch and runs `body` on it before it releases
 * mmu_lock, held for write; the pages are returned inside the same invalidation.
 */
export const pruningUnderLock = (
  body: (vm: Vm, branch: PrunedBranch) => Steps<void>,
): Pick<Policy, 'removeTable'> => ({
  *removeTable(vm, gfn, level) {
    const first = vm.tdx.geometry.align(gfn, level);
    yield* unmapUnder(vm, first, vm.mirror.span(level), function* () {
      const place = yield* vm.mirror.walk(first, level);
      if (place.level !== level || kindOfSpte(place.spte) !== TABLE) return;
      yield* vm.mirror.write(place.table, place.index, EMPTY);
      yield* body(vm, { table: pageOfSpte(place.spte), gfn: first, level });
    });
  },
});

/** What an entry of a branch's table points to: the branch below it, or null if it is no table. */
export function childBranch(
  vm: Vm,
  { gfn, level }: PrunedBranch,
  index: number,
  spte: number,
): PrunedBranch | null {
  if (kindOfSpte(spte) !== TABLE) return null;
  const below = level - 1;
  return { table: pageOfSpte(spte), gfn: gfn + index * vm.mirror.span(below), level: below };
}

/** Frees the tables of a branch, lowest first. */
export function* freeBranch(vm: Vm, branch: PrunedBranch): Steps<void> {
  const children = branch.level > 1 ? vm.mirror.fanout : 0;
  for (let i = 0; i < children; i++) {
    const child = childBranch(vm, branch, i, yield* vm.mirror.read(branch.table, i));
    if (child !== null) yield* freeBranch(vm, child);
  }
  yield* freeTable(vm, branch.table);
}

/** Blocks the top entry, and waits until no vCPU walks through it. */
export function* blockBranch(vm: Vm, { gfn, level }: PrunedBranch): Steps<void> {
  yield* withoutVcpus(vm, rangeBlock, mapping(vm, gfn, level));
  yield* track(vm);
}

/**
 * Blocks and removes what is below the top entry, with TRACK in between if `tracked`: each leaf,
 * and each table after all that is below it.
 */
export function* removeBelow(
  vm: Vm,
  branch: PrunedBranch,
  call: CallModule,
  tracked: boolean,
): Steps<void> {
  for (let i = 0; i < vm.mirror.fanout; i++) {
    const spte = yield* vm.mirror.read(branch.table, i);
    const child = childBranch(vm, branch, i, spte);
    if (child !== null) yield* removeBelow(vm, child, call, tracked);
    else if (kindOfSpte(spte) !== LEAF) continue;
    const below = branch.level - 1;
    const entry = mapping(vm, branch.gfn + i * vm.mirror.span(below), below);
    yield* call(vm, rangeBlock, entry);
    if (tracked) yield* trackIn(vm, call);
    yield* call(vm, child === null ? pageRemove : septRemove, entry);
  }
}

/** Removes the branch bottom-up, with every ancestor mapped until its children are removed. */
export function* removeBranchBottomUp(vm: Vm, branch: PrunedBranch): Steps<void> {
  yield* removeBelow(vm, branch, expectSuccess, true);
  const entry = mapping(vm, branch.gfn, branch.level);
  yield* expectSuccess(vm, rangeBlock, entry);
  yield* trackIn(vm, expectSuccess);
  yield* expectSuccess(vm, septRemove, entry);
}

/** TRACK and a kick of every vCPU, from a callback. */
export function* trackIn(vm: Vm, call: CallModule): Steps<void> {
  yield* call(vm, memTrack, { rcx: vm.address(vm.tdr) });
  yield* kickAll(vm);
}
