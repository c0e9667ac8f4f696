/**
 * Large pages as the series of 2025/26 have them: a fault maps as large as the folio and the guest
 * allow; splits are made with mmu_lock held for write, before a part of a large page is taken away,
 * before its folio is split, and when the guest accepts a part of it (K65, K67). Nothing is merged
 * again, unless a policy promotes.
 */
import { kindOfSpte, LEAF } from '../../spec/kvm/spte.ts';
import { SLOT_NONE, SLOT_VALID } from '../../spec/kvm/td-vm.ts';
import type { Steps } from '../../spec/machine/step.ts';
import type { Vm } from '../vm/vm.ts';
import { MAPPED_NOW, mapPrivate, NO_SLOT, RETRY, type FaultResult, type Install } from './fault.ts';
import { demotePage, promoteTable, SPLIT, type Resize } from './resize.ts';
import { invalidating, reachesBeyond } from './zap.ts';

/**
 * {@link faultUnder} with large pages. The folio is looked at after the sequence number was
 * sampled, so that one that is split meanwhile sends the fault back; the inhibit under mmu_lock.
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

/** A neighbour in the same large page is shared: what changes that invalidates. */
function isPartlyShared(vm: Vm, gfn: number): boolean {
  const first = vm.mirror.align(gfn, 1);
  for (let at = first; at < first + vm.mirror.span(1); at++) if (vm.td.isShared(at)) return true;
  return false;
}

/**
 * The guest accepts a small page: what maps it large is split, and the range is not mapped large
 * again, whatever other vCPUs accept. False when the split did not come about.
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
 * an invalidation; where a split does not come about others get the lock before it is tried again.
 */
export function* splitEdges(vm: Vm, gfn: number, pages: number, how: Resize = SPLIT): Steps<void> {
  for (let i = 0; i < pages; i += Math.max(1, pages - 1)) {
    const place = yield* vm.mirror.walk(gfn + i, 0);
    if (kindOfSpte(place.spte) !== LEAF || !reachesBeyond(vm, place, gfn + i, gfn, pages)) continue;
    yield* splitSurely(vm, gfn + i, how);
  }
}

/** Splits what maps `gfn` large, however often it takes; between two attempts mmu_lock is dropped. */
function* splitSurely(vm: Vm, gfn: number, how: Resize): Steps<void> {
  while (!(yield* demotePage(vm, gfn, how))) {
    yield* vm.mmuLock.writeUnlock();
    if (how.prepare !== undefined) yield* how.prepare(vm);
    yield* vm.m.relax(vm.noEntry);
    yield* vm.mmuLock.writeLock();
  }
}

/**
 * guest_memfd splits a folio: no mapping is large before the folio is not, and none becomes so in
 * between.
 */
export function* splitFolioUnder(vm: Vm, gfn: number, how: Resize = SPLIT): Steps<void> {
  if (how.prepare !== undefined) yield* how.prepare(vm);
  yield* invalidating(
    vm,
    () => splitSurely(vm, gfn, how),
    () => vm.guestMemory.folios.split(gfn),
  );
}

/** Splits what maps `gfn` large, once, under mmu_lock held for write. */
export function* demoteUnder(vm: Vm, gfn: number, how: Resize = SPLIT): Steps<boolean> {
  if (how.prepare !== undefined) yield* how.prepare(vm);
  yield* vm.mmuLock.writeLock();
  const split = yield* demotePage(vm, gfn, how);
  yield* vm.mmuLock.writeUnlock();
  return split;
}

/** Merges what maps `gfn` small, unless something is being taken away or split at this moment. */
export function* promoteUnder(vm: Vm, gfn: number, how?: Resize): Steps<void> {
  const sampled = yield* vm.invalidation.sample();
  yield* vm.mmuLock.writeLock();
  if (!(yield* vm.invalidation.isStale(sampled))) yield* promoteTable(vm, gfn, how);
  yield* vm.mmuLock.writeUnlock();
}
