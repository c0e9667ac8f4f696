/**
 * Splitting a large page with mmu_lock held for read. The series of 2022 to 2024 froze the entry,
 * blocked, tracked and demoted: if DEMOTE is busy the range must be unblocked, and that can be busy
 * as well (B-63). Where the module needs no block, DEMOTE is all: if it is refused it has changed
 * nothing, and the entry is thawed as it was.
 */
import { FROZEN, kindOfSpte, LEAF, tableSpte } from '../../spec/kvm/spte.ts';
import { NO_PAGE, pageNumberOf } from '../../spec/machine/pages.ts';
import type { Steps } from '../../spec/machine/step.ts';
import type { Operands } from '../../spec/tdx/call.ts';
import { memTrack } from '../../spec/tdx/functions/mem-track.ts';
import { pageDemote } from '../../spec/tdx/functions/page-demote.ts';
import { rangeBlock } from '../../spec/tdx/functions/range-block.ts';
import { rangeUnblock } from '../../spec/tdx/functions/range-unblock.ts';
import type { InterfaceFunction } from '../../spec/tdx/module.ts';
import * as S from '../../spec/tdx/status.ts';
import { mapping, succeeded, type Vm } from '../vm/vm.ts';
import { fillSplit, freeTable } from './resize.ts';
import { kickAll } from './seamcalls.ts';

/** Statuses that other actors can cause while mmu_lock is held for read. */
const MAY_FAIL = [S.OPERAND_BUSY, S.INTERRUPTED_RESTARTABLE, S.PREVIOUS_TLB_EPOCH_BUSY];

function* tryOnce(vm: Vm, fn: InterfaceFunction, operands: Partial<Operands>): Steps<boolean> {
  return succeeded(yield* vm.seamcall(fn, operands, MAY_FAIL));
}

/** Splits the page of a frozen entry in the Secure EPT; returns false if that failed. */
export type SplitFrozen = (vm: Vm, gfn: number, external: number) => Steps<boolean>;

/** Splits what maps `gfn` large; returns false if that failed. */
export function* splitUnderRead(
  vm: Vm,
  gfn: number,
  how: SplitFrozen = demoteBlocked,
): Steps<boolean> {
  yield* vm.mmuLock.readLock();
  const split = yield* splitFrozen(vm, gfn, how);
  yield* vm.mmuLock.readUnlock();
  return split;
}

/** {@link splitUnderRead} for a caller that holds mmu_lock for read. */
export function* splitFrozen(vm: Vm, gfn: number, how: SplitFrozen): Steps<boolean> {
  const place = yield* vm.mirror.walk(gfn, 1);
  if (place.spte === FROZEN) return false;
  if (place.level !== 1 || kindOfSpte(place.spte) !== LEAF) return true;
  const table = yield* vm.mirror.allocTable(0, vm.mirror.align(gfn, 1));
  if (table === NO_PAGE) return false;
  yield* fillSplit(vm, place, table);
  let done = false;
  if (yield* vm.mirror.cmpxchg(place.table, place.index, place.spte, FROZEN)) {
    done = yield* how(vm, gfn, pageNumberOf(vm.mirror.externalOf(table)));
    yield* vm.mirror.write(place.table, place.index, done ? tableSpte(table) : place.spte);
  }
  if (!done) yield* freeTable(vm, table);
  return done;
}

/** Blocks, tracks and demotes. */
function* demoteBlocked(vm: Vm, gfn: number, external: number): Steps<boolean> {
  const operands = mapping(vm, gfn, 1);
  if (!(yield* tryOnce(vm, rangeBlock, operands))) return false;
  const tracked = yield* tryOnce(vm, memTrack, { rcx: vm.address(vm.tdr) });
  yield* kickAll(vm);
  if (tracked && (yield* tryOnce(vm, pageDemote, { ...operands, r8: vm.address(external) })))
    return true;
  yield* tryOnce(vm, rangeUnblock, operands); // this can be busy too; then the range stays blocked
  return false;
}

/** Demotes without a block. */
export const demoteAlone: SplitFrozen = (vm, gfn, external) =>
  tryOnce(vm, pageDemote, { ...mapping(vm, gfn, 1), r8: vm.address(external) });

/**
 * Splits the large page that contains `gfn`, which the guest accepts as a small one, and inhibits
 * large mappings of the range from then on, with mmu_lock held for read. Returns false if the split
 * failed.
 */
export function* inhibitUnderRead(vm: Vm, gfn: number): Steps<boolean> {
  yield* vm.mmuLock.readLock();
  const split = yield* splitFrozen(vm, gfn, demoteAlone);
  if (split) yield* vm.largePages.inhibit(gfn);
  yield* vm.mmuLock.readUnlock();
  return split;
}
