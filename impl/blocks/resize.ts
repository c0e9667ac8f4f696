/**
 * PROMOTE and DEMOTE with mmu_lock held for write: block, track with a kick, resize. The module
 * unblocks what it resizes. Either may be interrupted before it commits and is then restarted, a
 * bounded number of times; after that the range is unblocked, and the caller drops mmu_lock before
 * it retries (K65, K66).
 */
import { kindOfSpte, LEAF, leafSpte, pageOfSpte, TABLE, tableSpte } from '../../spec/kvm/spte.ts';
import type { SptePlace } from '../../spec/kvm/tables.ts';
import { NO_PAGE, pageNumberOf, type PageRef } from '../../spec/machine/pages.ts';
import type { Steps } from '../../spec/machine/step.ts';
import type { Call, Operands } from '../../spec/tdx/call.ts';
import { pageDemote } from '../../spec/tdx/functions/page-demote.ts';
import { pagePromote } from '../../spec/tdx/functions/page-promote.ts';
import { rangeBlock } from '../../spec/tdx/functions/range-block.ts';
import { rangeUnblock } from '../../spec/tdx/functions/range-unblock.ts';
import type { InterfaceFunction } from '../../spec/tdx/module.ts';
import * as S from '../../spec/tdx/status.ts';
import { isStatus, mapping, succeeded, type Vm } from '../vm/vm.ts';
import { track, withoutVcpus } from './seamcalls.ts';

const LARGE = 1;

/** Number of restarts of an interrupted call while mmu_lock is held. */
const RESTARTS = 8;

function* restartable(
  vm: Vm,
  fn: InterfaceFunction,
  operands: Partial<Operands>,
  tolerated: readonly S.Status[] = [],
): Steps<Call> {
  for (let restarts = 0; ; restarts++) {
    const call = yield* withoutVcpus(vm, fn, operands, [S.INTERRUPTED_RESTARTABLE, ...tolerated]);
    if (!isStatus(call, S.INTERRUPTED_RESTARTABLE) || restarts === RESTARTS) return call;
  }
}

/** Steps of a resize in the Secure EPT; a policy may replace any of them. */
export interface Resize {
  /** Allocates what the resize needs, before mmu_lock is taken, and again before a retry. */
  prepare?(vm: Vm): Steps<void>;
  /** Blocks the range; when it returns, no vCPU uses the range. */
  block(vm: Vm, gfn: number): Steps<void>;
  /** Resizes; of a split `external` is the page of the new table. Returns false if that failed. */
  resize(vm: Vm, gfn: number, external: number): Steps<boolean>;
  /** Makes the range visible again after a failed resize. */
  unblock(vm: Vm, gfn: number): Steps<void>;
}

function* block(vm: Vm, gfn: number): Steps<void> {
  yield* withoutVcpus(vm, rangeBlock, mapping(vm, gfn, LARGE));
  yield* track(vm);
}

function* unblock(vm: Vm, gfn: number): Steps<void> {
  yield* withoutVcpus(vm, rangeUnblock, mapping(vm, gfn, LARGE));
}

/** Merges a table into a large page by PROMOTE. */
export const MERGE: Resize = {
  block,
  unblock,
  *resize(vm, gfn) {
    return succeeded(yield* promoteAt(vm, gfn));
  },
};

/** PROMOTE. The module refuses if the pages are not all in one state, e.g. some pending. */
export function* promoteAt(vm: Vm, gfn: number): Steps<Call> {
  return yield* restartable(vm, pagePromote, mapping(vm, gfn, LARGE), [
    S.EPT_INVALID_PROMOTE_CONDITIONS,
  ]);
}

/** Splits a large page into a table by DEMOTE. */
export const SPLIT: Resize = {
  block,
  unblock,
  resize: (vm, gfn, external) => demoteInto(vm, gfn, external),
};

/** DEMOTE into the table at page `external`; `more` are operands of a module with other ones. */
export function* demoteInto(
  vm: Vm,
  gfn: number,
  external: number,
  more: Partial<Operands> = {},
): Steps<boolean> {
  const operands = { ...mapping(vm, gfn, LARGE), r8: vm.address(external), ...more };
  return succeeded(yield* restartable(vm, pageDemote, operands));
}

/** {@link SPLIT} without the block, for a module whose DEMOTE does not need it. */
export const SPLIT_ALONE: Resize = { ...SPLIT, *block() {}, *unblock() {} };

/**
 * Merges the table that maps `gfn`, if it is full and contiguous and one folio backs it. The caller
 * holds mmu_lock for write, and has checked that no folio is being split.
 */
export function* promoteTable(vm: Vm, gfn: number, how: Resize = MERGE): Steps<void> {
  const place = yield* vm.mirror.walk(gfn, LARGE);
  if (place.level !== LARGE || kindOfSpte(place.spte) !== TABLE) return;
  const table = pageOfSpte(place.spte);
  const first = yield* contiguousRange(vm, table);
  if (first < 0 || (yield* vm.guestMemory.folios.level(gfn)) < LARGE) return;
  yield* how.block(vm, gfn);
  if (!(yield* how.resize(vm, gfn, NO_PAGE))) {
    yield* how.unblock(vm, gfn);
    return;
  }
  yield* vm.mirror.write(place.table, place.index, leafSpte(first));
  yield* freeTable(vm, table);
}

/** First page of the aligned range that a mirror table's children map, or -1 if there is none. */
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

/**
 * Splits the large page that maps `gfn`, if any. The caller holds mmu_lock for write. Returns false
 * if that failed: no page for the table, or too many interrupts.
 */
export function* demotePage(vm: Vm, gfn: number, how: Resize = SPLIT): Steps<boolean> {
  const place = yield* vm.mirror.walk(gfn, LARGE);
  if (place.level !== LARGE || kindOfSpte(place.spte) !== LEAF) return true;
  const table = yield* vm.mirror.allocTable(place.level - 1, vm.mirror.align(gfn, place.level));
  if (table === NO_PAGE) return false;
  yield* fillSplit(vm, place, table);
  yield* how.block(vm, gfn);
  if (yield* how.resize(vm, gfn, pageNumberOf(vm.mirror.externalOf(table)))) {
    yield* vm.mirror.write(place.table, place.index, tableSpte(table));
    return true;
  }
  yield* how.unblock(vm, gfn);
  yield* freeTable(vm, table);
  return false;
}

/** Fills the new mirror table of a split, before it is linked (K13). */
export function* fillSplit(vm: Vm, place: SptePlace, table: PageRef): Steps<void> {
  for (let i = 0; i < vm.mirror.fanout; i++)
    yield* vm.mirror.write(table, i, leafSpte(pageOfSpte(place.spte) + i));
}
