/**
 * PROMOTE and DEMOTE under mmu_lock held for write: block, track with a kick, resize. The module unblocks what it
 * resizes. Either may be interrupted before it commits and is then started again (K65, K66).
 */
import { NO_PAGE, pageNumberOf, type PageRef } from '../../spec/machine/pages.ts';
import type { Steps } from '../../spec/machine/step.ts';
import type { SptePlace } from '../../spec/kvm/tables.ts';
import { kindOfSpte, LEAF, leafSpte, pageOfSpte, TABLE, tableSpte } from '../../spec/kvm/spte.ts';
import type { Call, Operands } from '../../spec/tdx/call.ts';
import { pageDemote } from '../../spec/tdx/functions/page-demote.ts';
import { pagePromote } from '../../spec/tdx/functions/page-promote.ts';
import { rangeBlock } from '../../spec/tdx/functions/range-block.ts';
import { rangeUnblock } from '../../spec/tdx/functions/range-unblock.ts';
import type { InterfaceFunction } from '../../spec/tdx/module.ts';
import * as S from '../../spec/tdx/status.ts';
import { isStatus, mapping, succeeded, type Vm } from '../vm.ts';
import { track, withoutVcpus } from './seamcalls.ts';

const LARGE = 1;

function* restartable(
  vm: Vm, fn: InterfaceFunction, operands: Partial<Operands>, tolerated: readonly S.Status[] = [],
): Steps<Call> {
  for (;;) {
    const call = yield* withoutVcpus(vm, fn, operands, [S.INTERRUPTED_RESTARTABLE, ...tolerated]);
    if (!isStatus(call, S.INTERRUPTED_RESTARTABLE)) return call;
  }
}

/** Merges the table that maps `gfn`, when it is full and contiguous. The caller holds mmu_lock for write. */
export function* promoteTable(vm: Vm, gfn: number): Steps<void> {
  const place = yield* vm.mirror.walk(gfn, LARGE);
  if (place.level !== LARGE || kindOfSpte(place.spte) !== TABLE) return;
  const table = pageOfSpte(place.spte);
  const first = yield* contiguousRange(vm, table);
  if (first < 0) return;
  const operands = mapping(vm, gfn, LARGE);
  yield* withoutVcpus(vm, rangeBlock, operands);
  yield* track(vm);
  const call = yield* restartable(vm, pagePromote, operands, [S.EPT_INVALID_PROMOTE_CONDITIONS]);
  if (!succeeded(call)) {
    // Not all pages are in the same state (some are pending): the table becomes visible again as it was.
    yield* withoutVcpus(vm, rangeUnblock, operands);
    return;
  }
  yield* vm.mirror.write(place.table, place.index, leafSpte(first));
  yield* freeTable(vm, table);
}

/** First page of the range that the children of a mirror table map, or -1 when they are not one aligned range. */
function* contiguousRange(vm: Vm, table: PageRef): Steps<number> {
  let first = -1;
  for (let i = 0; i < vm.mirror.fanout; i++) {
    const child = yield* vm.mirror.read(table, i);
    if (kindOfSpte(child) !== LEAF) return -1;
    if (i === 0) first = pageOfSpte(child);
    if (pageOfSpte(child) !== first + i) return -1;
  }
  return first % vm.mirror.fanout === 0 ? first : -1;
}

/** Frees a mirror table and its external page, which the module no longer uses. */
export function* freeTable(vm: Vm, table: PageRef): Steps<void> {
  const external = vm.mirror.externalOf(table);
  yield* vm.pages.free(table);
  yield* vm.pages.free(external);
}

/** Splits the large page that maps `gfn`, if there is one. The caller holds mmu_lock for write. */
export function* demotePage(vm: Vm, gfn: number): Steps<void> {
  const place = yield* vm.mirror.walk(gfn, LARGE);
  if (place.level !== LARGE || kindOfSpte(place.spte) !== LEAF) return;
  const table = yield* vm.mirror.allocTable(place.level - 1, vm.mirror.align(gfn, place.level));
  if (table === NO_PAGE) return;
  yield* fillSplit(vm, place, table);
  const operands = mapping(vm, gfn, LARGE);
  yield* withoutVcpus(vm, rangeBlock, operands);
  yield* track(vm);
  const external = vm.address(pageNumberOf(vm.mirror.externalOf(table)));
  yield* restartable(vm, pageDemote, { ...operands, r8: external });
  yield* vm.mirror.write(place.table, place.index, tableSpte(table));
}

/** A new mirror table is complete before anybody can see it (K13). */
function* fillSplit(vm: Vm, place: SptePlace, table: PageRef): Steps<void> {
  for (let i = 0; i < vm.mirror.fanout; i++) yield* vm.mirror.write(table, i, leafSpte(pageOfSpte(place.spte) + i));
}
