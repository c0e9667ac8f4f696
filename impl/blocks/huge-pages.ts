/**
 * Large pages as in the series of 2025/26: a fault maps as large as the folio and the guest allow;
 * a large page is split with mmu_lock held for write, before a part of it is zapped, before its
 * folio is split, and when the guest accepts a part of it (K65, K67). Nothing is merged again,
 * unless a policy promotes.
 */
import { kindOfSpte, LEAF } from '../../spec/kvm/spte.ts';
import { SLOT_NONE, SLOT_VALID } from '../../spec/kvm/td-vm.ts';
import type { Steps } from '../../spec/machine/step.ts';
import type { Vm } from '../vm/vm.ts';
import { MAPPED_NOW, mapPrivate, NO_SLOT, RETRY, type FaultResult, type Install } from './fault.ts';
import { demotePage, promoteTable, SPLIT, type Resize } from './resize.ts';
import { invalidating, reachesBeyond } from './zap.ts';

/**
 * {@link faultUnder} with large pages. Reads the folio's size after it has sampled the sequence
 * number, so that a split meanwhile makes the fault retry; reads the inhibit under mmu_lock.
 */
export function* faultLarge(
  vm: Vm,
  gfn: number,
  acceptLevel: number,
  lock: 'read' | 'write',
  install: Install,
): Steps<FaultResult> {
  const sampled = yield* vm.invalidation.sample();
  const slot = yield* vm.findSlot(gfn);
  if (slot !== SLOT_VALID) return slot === SLOT_NONE ? NO_SLOT : RETRY;
  const page = yield* vm.guestMemory.faultFolio(gfn);
  const allowed =
    acceptLevel === 0 || isPartlyShared(vm, gfn) ? 0 : yield* vm.guestMemory.folios.level(gfn);
  yield* lock === 'read' ? vm.mmuLock.readLock() : vm.mmuLock.writeLock();
  let mapped = false;
  if (!(yield* vm.invalidation.isStale(sampled))) {
    const level = allowed > 0 && (yield* vm.largePages.isInhibited(gfn)) ? 0 : allowed;
    mapped = yield* mapPrivate(vm, gfn, page, install, level);
  }
  yield* lock === 'read' ? vm.mmuLock.readUnlock() : vm.mmuLock.writeUnlock();
  return mapped ? MAPPED_NOW : RETRY;
}

/** A neighbour in the same large page is shared. A conversion that changes this invalidates. */
function isPartlyShared(vm: Vm, gfn: number): boolean {
  const first = vm.mirror.align(gfn, 1);
  for (let at = first; at < first + vm.mirror.span(1); at++) if (vm.td.isShared(at)) return true;
  return false;
}

/**
 * Splits the large page that contains `gfn`, which the guest accepts as a small one, and inhibits
 * large mappings of the range from then on. Returns false if the split failed.
 */
export function* inhibitLarge(vm: Vm, gfn: number, how: Resize = SPLIT): Steps<boolean> {
  if (yield* vm.largePages.isInhibited(gfn)) return true;
  if (how.prepare !== undefined) yield* how.prepare(vm);
  yield* vm.mmuLock.writeLock();
  const split = yield* demotePage(vm, gfn, how);
  if (split) yield* vm.largePages.inhibit(gfn);
  yield* vm.mmuLock.writeUnlock();
  return split;
}

/**
 * Splits the leaves that reach beyond the range. The caller holds mmu_lock for write and has begun
 * an invalidation; after a failed split the lock is dropped before the retry.
 */
export function* splitEdges(vm: Vm, gfn: number, pages: number, how: Resize = SPLIT): Steps<void> {
  for (let i = 0; i < pages; i += Math.max(1, pages - 1)) {
    const place = yield* vm.mirror.walk(gfn + i, 0);
    if (kindOfSpte(place.spte) !== LEAF || !reachesBeyond(vm, place, gfn + i, gfn, pages)) continue;
    yield* splitSurely(vm, gfn + i, how);
  }
}

/** Retries to split what maps `gfn` large until that succeeds; drops mmu_lock in between. */
function* splitSurely(vm: Vm, gfn: number, how: Resize): Steps<void> {
  while (!(yield* demotePage(vm, gfn, how))) {
    yield* vm.mmuLock.writeUnlock();
    if (how.prepare !== undefined) yield* how.prepare(vm);
    yield* vm.m.relax(vm.noEntry);
    yield* vm.mmuLock.writeLock();
  }
}

/** Splits a folio of guest_memfd, after the mapping; no fault maps it large in between. */
export function* splitFolioUnder(vm: Vm, gfn: number, how: Resize = SPLIT): Steps<void> {
  if (how.prepare !== undefined) yield* how.prepare(vm);
  yield* invalidating(
    vm,
    () => splitSurely(vm, gfn, how),
    () => vm.guestMemory.folios.split(gfn),
  );
}

/** Attempts once to split what maps `gfn` large, with mmu_lock held for write. */
export function* demoteUnder(vm: Vm, gfn: number, how: Resize = SPLIT): Steps<boolean> {
  if (how.prepare !== undefined) yield* how.prepare(vm);
  yield* vm.mmuLock.writeLock();
  const split = yield* demotePage(vm, gfn, how);
  yield* vm.mmuLock.writeUnlock();
  return split;
}

/** Merges the table that maps `gfn`, unless an invalidation is under way. */
export function* promoteUnder(vm: Vm, gfn: number, how?: Resize): Steps<void> {
  const sampled = yield* vm.invalidation.sample();
  yield* vm.mmuLock.writeLock();
  if (!(yield* vm.invalidation.isStale(sampled))) yield* promoteTable(vm, gfn, how);
  yield* vm.mmuLock.writeUnlock();
}
