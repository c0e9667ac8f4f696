/**
 * Zapping private pages of a running TD as upstream does: with mmu_lock held for write, the mirror
 * entry first, then RANGE.BLOCK, TRACK with a kick of every vCPU, PAGE.REMOVE, PAGE.WBINVD (K47,
 * K54). If the module is busy, each call is repeated once without vCPUs (K56).
 */
import { EMPTY, kindOfSpte, LEAF, pageOfSpte } from '../../spec/kvm/spte.ts';
import type { SptePlace } from '../../spec/kvm/tables.ts';
import { SLOT_INVALID, SLOT_NONE, SLOT_VALID } from '../../spec/kvm/td-vm.ts';
import type { Steps } from '../../spec/machine/step.ts';
import type { Call, Operands } from '../../spec/tdx/call.ts';
import { pageRemove } from '../../spec/tdx/functions/page-remove.ts';
import { phymemPageWbinvd } from '../../spec/tdx/functions/phymem-page-wbinvd.ts';
import { rangeBlock } from '../../spec/tdx/functions/range-block.ts';
import type { InterfaceFunction } from '../../spec/tdx/module.ts';
import type { Policy } from '../vm/policy.ts';
import { mapping, succeeded, type Vm } from '../vm/vm.ts';
import { demotePage } from './resize.ts';
import { track, withoutVcpus } from './seamcalls.ts';

/** How a leaf is removed from the Secure EPT. */
export interface Zap {
  /** Calls the module. */
  call(vm: Vm, fn: InterfaceFunction, operands: Partial<Operands>): Steps<Call>;
  /** Makes every vCPU drop the blocked translation. */
  track(vm: Vm): Steps<void>;
}

/** Upstream's way since 6.16 (P8). */
export const KICKING_ON_BUSY: Zap = { call: withoutVcpus, track };

/** Removes the leaf at `place`, which maps `gfn`. */
export function* zapLeaf(
  vm: Vm,
  place: SptePlace,
  gfn: number,
  how: Zap = KICKING_ON_BUSY,
): Steps<void> {
  yield* vm.mirror.write(place.table, place.index, EMPTY);
  yield* removePage(vm, place, gfn, how);
}

/** Removes a leaf's page from the Secure EPT; without TRACK while the TD cannot run yet (K55). */
export function* removePage(
  vm: Vm,
  place: SptePlace,
  gfn: number,
  how: Zap = KICKING_ON_BUSY,
): Steps<void> {
  yield* how.call(vm, rangeBlock, mapping(vm, gfn, place.level));
  if (vm.td.isRunnable()) yield* how.track(vm);
  yield* removeBlocked(vm, place, gfn, how);
}

/** PAGE.REMOVE, and the write-back under the TD's key, before the page is used again (K54). */
export function* removeBlocked(
  vm: Vm,
  place: SptePlace,
  gfn: number,
  how: Zap = KICKING_ON_BUSY,
): Steps<void> {
  const removed = yield* how.call(vm, pageRemove, mapping(vm, gfn, place.level));
  if (!succeeded(removed)) return yield* giveUp(vm, place, gfn);
  yield* writeBack(vm, pageOfSpte(place.spte), place.level);
}

/** Writes a removed page's cache lines back under the TD's key. */
export function* writeBack(vm: Vm, first: number, level: number): Steps<void> {
  for (let page = first; page < first + vm.mirror.span(level); page++) {
    yield* vm.seamcall(phymemPageWbinvd, { rcx: vm.keyedAddress(page) });
  }
}

/** Leaks a page that the module has not returned, and kills the VM (K47, K51). */
export function* giveUp(vm: Vm, place: SptePlace, gfn: number): Steps<void> {
  const first = vm.mirror.align(gfn, place.level);
  for (let at = first; at < first + vm.mirror.span(place.level); at++) vm.guestMemory.leak(at);
  yield* vm.kill();
}

/** Zaps the leaf at `place`, which maps `gfn`. */
export type ZapLeaf = (vm: Vm, place: SptePlace, gfn: number) => Steps<void>;

/**
 * Zaps every leaf that maps one of `pages` pages from `gfn` on; `split` splits one that reaches
 * beyond.
 */
export function* zapLeaves(
  vm: Vm,
  gfn: number,
  pages: number,
  split: (vm: Vm, gfn: number) => Steps<unknown>,
  zap: ZapLeaf = zapLeaf,
): Steps<void> {
  for (let at = gfn; at < gfn + pages;) {
    let place = yield* vm.mirror.walk(at, 0);
    while (kindOfSpte(place.spte) === LEAF && reachesBeyond(vm, place, at, gfn, pages)) {
      // the split's allocation may fail, and nothing beyond the range may be zapped: retry
      yield* split(vm, at);
      place = yield* vm.mirror.walk(at, 0);
    }
    if (kindOfSpte(place.spte) === LEAF) yield* zap(vm, place, at);
    at = vm.tdx.geometry.align(at, place.level) + vm.mirror.span(place.level);
  }
}

/** The entry at `place`, which maps `at`, maps pages outside the range. */
export function reachesBeyond(
  vm: Vm,
  place: SptePlace,
  at: number,
  gfn: number,
  pages: number,
): boolean {
  const first = vm.tdx.geometry.align(at, place.level);
  return first < gfn || first + vm.mirror.span(place.level) > gfn + pages;
}

/** Returns pages to the host, which writes to them. */
export function* returnPages(vm: Vm, gfn: number, pages: number): Steps<void> {
  for (let at = gfn; at < gfn + pages; at++) {
    const page = yield* vm.guestMemory.release(at);
    if (page < 0) continue;
    yield* vm.m.write(vm.memory.word(page, 0), POISON);
    for (const listener of vm.listeners) listener.hostTouched?.(page);
  }
}

/** Value that the host writes to a page that was returned to it. */
export const POISON = -1;

/**
 * Unmaps pages of the guest: with mmu_lock held for write begins the invalidation and runs `zap`;
 * then returns the pages to the host; only then ends the invalidation, so that no fault installs
 * one of them in between (K38, K39).
 */
export function* unmapUnder(
  vm: Vm,
  gfn: number,
  pages: number,
  zap: () => Steps<void>,
): Steps<void> {
  yield* invalidating(vm, zap, () => returnPages(vm, gfn, pages));
}

/** Runs `zap` with mmu_lock held for write, then `use`, inside one invalidation. */
export function* invalidating(vm: Vm, zap: () => Steps<void>, use: () => Steps<void>): Steps<void> {
  yield* vm.mmuLock.writeLock();
  yield* vm.invalidation.begin();
  yield* zap();
  yield* vm.mmuLock.writeUnlock();
  yield* use();
  yield* vm.mmuLock.writeLock();
  yield* vm.invalidation.end();
  yield* vm.mmuLock.writeUnlock();
}

/**
 * Deletes the memslot: marks it INVALID, waits for every fault that may have seen it valid, runs
 * `zap`, then removes the slot (K42, K50). The pages stay in the guest_memfd file until a hole is
 * punched.
 */
export function* removeSlotUnder(vm: Vm, zap: () => Steps<void>): Steps<void> {
  yield* vm.td.slotsLock.lock();
  if ((yield* vm.m.read(vm.slot)) === SLOT_VALID) {
    yield* vm.m.write(vm.slot, SLOT_INVALID);
    yield* vm.td.srcu.synchronize();
    yield* vm.mmuLock.writeLock();
    yield* zap();
    yield* vm.mmuLock.writeUnlock();
    yield* vm.m.write(vm.slot, SLOT_NONE);
  }
  yield* vm.td.slotsLock.unlock();
}

/** Unmaps all of the guest's memory, in any memslot; for VM teardown. */
export function* zapAll(
  vm: Vm,
  split: (vm: Vm, gfn: number) => Steps<unknown>,
  zap = zapLeaf,
): Steps<void> {
  const { guestPages } = vm.sizes;
  yield* unmapUnder(vm, 0, guestPages, () => zapLeaves(vm, 0, guestPages, split, zap));
}

/** Entry points of a policy that maps small pages only and zaps leaves by `zap`. */
export const zappingBy = (zap: ZapLeaf): Pick<Policy, 'unmap' | 'removeSlot'> => ({
  *unmap(vm, gfn, pages) {
    yield* unmapUnder(vm, gfn, pages, () => zapLeaves(vm, gfn, pages, demotePage, zap));
  },
  *removeSlot(vm) {
    yield* removeSlotUnder(vm, () => zapLeaves(vm, 0, vm.td.slotPages, demotePage, zap));
  },
});
