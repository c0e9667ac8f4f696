/**
 * Taking private pages away from a running TD, as upstream does it: under mmu_lock held for write,
 * the mirror entry first, then RANGE.BLOCK, TRACK with a kick of every vCPU, PAGE.REMOVE,
 * PAGE.WBINVD (K47, K54). Each call is repeated once without vCPUs when the module is busy (K56).
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
import { GUEST_PAGES } from '../vm/size.ts';
import { mapping, succeeded, type Vm } from '../vm/vm.ts';
import { demotePage } from './resize.ts';
import { track, withoutVcpus } from './seamcalls.ts';

/**
 * How a leaf is removed: how the module is called, and how vCPUs are made to forget the
 * translation.
 */
export interface Zap {
  call(vm: Vm, fn: InterfaceFunction, operands: Partial<Operands>): Steps<Call>;
  track(vm: Vm): Steps<void>;
}

/** As upstream does it since 6.16 (P8). */
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

/**
 * Removes the page of a leaf from the Secure EPT. A TD that cannot run yet has no vCPU to wait for
 * (K55).
 */
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

/**
 * PAGE.REMOVE, and the caches written back under the TD's key, before anybody uses the page again
 * (K54).
 */
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

/** The caches of a page that was removed are written back under the TD's key. */
export function* writeBack(vm: Vm, first: number, level: number): Steps<void> {
  for (let page = first; page < first + vm.mirror.span(level); page++) {
    yield* vm.seamcall(phymemPageWbinvd, { rcx: vm.keyedAddress(page) });
  }
}

/**
 * The module has not given the page back: it is leaked, and the VM is not trusted any more (K47,
 * K51).
 */
export function* giveUp(vm: Vm, place: SptePlace, gfn: number): Steps<void> {
  const first = vm.mirror.align(gfn, place.level);
  for (let at = first; at < first + vm.mirror.span(place.level); at++) vm.guestMemory.leak(at);
  yield* vm.kill();
}

/** How a policy zaps the leaf at a place, which maps a GFN. */
export type ZapLeaf = (vm: Vm, place: SptePlace, gfn: number) => Steps<void>;

/**
 * Removes every leaf that maps one of `pages` pages from `gfn` on; `split` prepares a leaf that
 * reaches beyond. `zap` is {@link zapLeaf} unless the policy does it in another way.
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
      // a split needs a page, and the allocation may fail; what is beyond the range must not go, so it is tried again
      yield* split(vm, at);
      place = yield* vm.mirror.walk(at, 0);
    }
    if (kindOfSpte(place.spte) === LEAF) yield* zap(vm, place, at);
    at = vm.tdx.geometry.align(at, place.level) + vm.mirror.span(place.level);
  }
}

/** Does the entry at `place`, which maps `at`, map pages outside the range? */
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

/** The host has its pages back: it uses them for something else. */
export function* returnPages(vm: Vm, gfn: number, pages: number): Steps<void> {
  for (let at = gfn; at < gfn + pages; at++) {
    const page = yield* vm.guestMemory.release(at);
    if (page < 0) continue;
    yield* vm.m.write(vm.memory.word(page, 0), POISON);
    for (const listener of vm.listeners) listener.hostTouched?.(page);
  }
}

/** What the host writes into a page that it got back. */
export const POISON = -1;

/**
 * Takes pages from the guest: under mmu_lock held for write the invalidation begins and `zap` runs;
 * then the pages go back to the host; only then does the invalidation end, so that no fault
 * installs one of them in between (K38, K39).
 */
export function* unmapUnder(
  vm: Vm,
  gfn: number,
  pages: number,
  zap: () => Steps<void>,
): Steps<void> {
  yield* invalidating(vm, zap, () => returnPages(vm, gfn, pages));
}

/** `zap` under mmu_lock held for write, then `use`, and no fault installs anything in between. */
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
 * Deletes the memslot. It is marked INVALID first, and every fault that may have seen it valid is
 * waited for; then `zap` takes what it mapped; then it is gone (K42, K50). The pages stay with the
 * guest_memfd file until they are asked back.
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

/** The VM's end: all of the guest's memory goes, whichever memslot it is in. */
export function* zapAll(
  vm: Vm,
  split: (vm: Vm, gfn: number) => Steps<unknown>,
  zap = zapLeaf,
): Steps<void> {
  yield* unmapUnder(vm, 0, GUEST_PAGES, () => zapLeaves(vm, 0, GUEST_PAGES, split, zap));
}

/**
 * The entry points that take pages away, with leaves zapped by `zap`; for policies that map small
 * pages only.
 */
export const zappingBy = (zap: ZapLeaf): Pick<Policy, 'unmap' | 'removeSlot'> => ({
  *unmap(vm, gfn, pages) {
    yield* unmapUnder(vm, gfn, pages, () => zapLeaves(vm, gfn, pages, demotePage, zap));
  },
  *removeSlot(vm) {
    yield* removeSlotUnder(vm, () => zapLeaves(vm, 0, vm.td.slotPages, demotePage, zap));
  },
});
