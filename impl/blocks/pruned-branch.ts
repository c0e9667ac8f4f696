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
import { returnPages } from './zap.ts';

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

/** A branch that is no longer in the mirror: its mirror table, and the first GFN under it. */
export interface PrunedBranch {
  readonly table: PageRef;
  readonly gfn: number;
}

/** What a policy does about a branch that it has pruned. */
export interface BranchDisposal {
  /** Under mmu_lock: prepares the top entry in the Secure EPT, before the callback is queued. */
  prepare(vm: Vm, branch: PrunedBranch): Steps<void>;
  /** In the callback: removes the children and the table from the Secure EPT. */
  dispose(vm: Vm, branch: PrunedBranch): Steps<void>;
}

/** The entry point of a policy that prunes a branch and disposes of it in an RCU callback. */
export const pruningBranches = (disposal: BranchDisposal): Pick<Policy, 'removeTable'> => ({
  *removeTable(vm, gfn) {
    const first = vm.tdx.geometry.align(gfn, 1);
    yield* vm.mmuLock.writeLock();
    yield* vm.invalidation.begin();
    const place = yield* vm.mirror.walk(first, 1);
    if (place.level === 1 && kindOfSpte(place.spte) === TABLE)
      yield* prune(vm, place, first, disposal);
    yield* vm.invalidation.end();
    yield* vm.mmuLock.writeUnlock();
  },
});

/** Prunes the branch at `place` and queues the callback that disposes of it. */
function* prune(vm: Vm, place: SptePlace, gfn: number, disposal: BranchDisposal): Steps<void> {
  const branch = { table: pageOfSpte(place.spte), gfn };
  yield* vm.mirror.write(place.table, place.index, EMPTY);
  yield* disposal.prepare(vm, branch);
  yield* vm.rcu.call('rcu', function* () {
    yield* disposal.dispose(vm, branch);
    yield* freeTable(vm, branch.table);
    yield* returnPages(vm, gfn, vm.mirror.span(1));
  });
}

/** Blocks the top entry, and waits until no vCPU walks through it. */
export function* blockBranch(vm: Vm, { gfn }: PrunedBranch): Steps<void> {
  yield* withoutVcpus(vm, rangeBlock, mapping(vm, gfn, 1));
  yield* track(vm);
}

/** Blocks and removes each leaf of the branch, with TRACK in between if `tracked`. */
export function* removeBranchLeaves(
  vm: Vm,
  { table, gfn }: PrunedBranch,
  call: CallModule,
  tracked: boolean,
): Steps<void> {
  for (let i = 0; i < vm.mirror.fanout; i++) {
    if (kindOfSpte(yield* vm.mirror.read(table, i)) !== LEAF) continue;
    yield* call(vm, rangeBlock, mapping(vm, gfn + i, 0));
    if (tracked) yield* trackIn(vm, call);
    yield* call(vm, pageRemove, mapping(vm, gfn + i, 0));
  }
}

/** Removes the branch bottom-up, with every ancestor mapped until its children are removed. */
export function* removeBranchBottomUp(vm: Vm, branch: PrunedBranch): Steps<void> {
  yield* removeBranchLeaves(vm, branch, expectSuccess, true);
  yield* expectSuccess(vm, rangeBlock, mapping(vm, branch.gfn, 1));
  yield* trackIn(vm, expectSuccess);
  yield* expectSuccess(vm, septRemove, mapping(vm, branch.gfn, 1));
}

/** TRACK and a kick of every vCPU, from a callback. */
function* trackIn(vm: Vm, call: CallModule): Steps<void> {
  yield* call(vm, memTrack, { rcx: vm.address(vm.tdr) });
  yield* kickAll(vm);
}
