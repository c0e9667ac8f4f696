/**
 * Bringing a private page in. What policies differ in is how a mirror entry and its Secure EPT entry change together:
 * that is `install`; the walk, the page and the staleness check around it are the same for all.
 */
import type { Steps } from '../../spec/machine/step.ts';
import { NO_PAGE, pageNumberOf } from '../../spec/machine/pages.ts';
import type { SptePlace } from '../../spec/kvm/tables.ts';
import { EMPTY, FROZEN, kindOfSpte, LEAF, leafSpte, TABLE, tableSpte, type Spte } from '../../spec/kvm/spte.ts';
import type { Operands } from '../../spec/tdx/call.ts';
import { pageAug } from '../../spec/tdx/functions/page-aug.ts';
import { septAdd } from '../../spec/tdx/functions/sept-add.ts';
import type { InterfaceFunction } from '../../spec/tdx/module.ts';
import * as S from '../../spec/tdx/status.ts';
import { mapping, succeeded, type Vm } from '../vm.ts';

/** A change of an empty mirror entry to `to`, with the call that makes the same change in the Secure EPT. */
export interface Installation {
  readonly place: SptePlace;
  readonly to: Spte;
  readonly fn: InterfaceFunction;
  readonly operands: Partial<Operands>;
}

/** Carries out a change; false when it did not come about and the fault has to be taken again. */
export type Install = (vm: Vm, change: Installation) => Steps<boolean>;

/**
 * Maps `gfn`, which `page` backs, at `level` (0 unless given), or at 0 where there is a table already; table by table.
 * The caller holds mmu_lock. False: the fault has to be taken again.
 */
export function* mapPrivate(vm: Vm, gfn: number, page: number, install: Install, level = 0): Steps<boolean> {
  for (let goal = level; ; ) {
    const place = yield* vm.mirror.walk(gfn, goal);
    const kind = kindOfSpte(place.spte);
    if (kind === LEAF) return true;
    if (kind === TABLE) goal = 0;
    else if (place.spte !== EMPTY) return false;
    else if (place.level === goal) return yield* install(vm, leafChange(vm, place, gfn, page));
    else if (!(yield* addTable(vm, place, gfn, install))) return false;
  }
}

/** The leaf at `place`, which `page` belongs to. */
function leafChange(vm: Vm, place: SptePlace, gfn: number, page: number): Installation {
  const first = page - (gfn - vm.mirror.align(gfn, place.level));
  const operands = { ...mapping(vm, gfn, place.level), r8: vm.address(first) };
  return { place, to: leafSpte(first), fn: pageAug, operands };
}

/** Adds a table below `place`; the tables that did not get in are freed. */
function* addTable(vm: Vm, place: SptePlace, gfn: number, install: Install): Steps<boolean> {
  const table = yield* vm.mirror.allocTable(place.level - 1, vm.mirror.align(gfn, place.level));
  if (table === NO_PAGE) return false;
  const external = vm.mirror.externalOf(table);
  const operands = { ...mapping(vm, gfn, place.level), r8: vm.address(pageNumberOf(external)) };
  if (yield* install(vm, { place, to: tableSpte(table), fn: septAdd, operands })) return true;
  yield* vm.pages.free(table);
  yield* vm.pages.free(external);
  return false;
}

/**
 * The frozen window (K44): the mirror entry is FROZEN while the Secure EPT changes; then it becomes what it was meant
 * to be, or what it was. Nobody can walk past it in between, so that no child operation overtakes its parent (K45).
 */
export const throughFrozen: Install = function* (vm, { place, to, fn, operands }) {
  if (!(yield* vm.mirror.cmpxchg(place.table, place.index, place.spte, FROZEN))) return false;
  const call = yield* vm.seamcall(fn, operands, [S.OPERAND_BUSY]);
  yield* vm.mirror.write(place.table, place.index, succeeded(call) ? to : place.spte);
  return succeeded(call);
};

/** What a fault came to. */
export const MAPPED_NOW = 0;
/** It has to be taken again. */
export const RETRY = 1;
/** There is no memslot: the VCPU exits to user space. */
export const NO_SLOT = 2;
export type FaultResult = typeof MAPPED_NOW | typeof RETRY | typeof NO_SLOT;

/**
 * A fault as upstream takes it: sample the sequence number, get the page, take mmu_lock for read, make sure that
 * nothing was invalidated meanwhile, map (K37).
 */
export function* faultUnder(vm: Vm, gfn: number, lock: 'read' | 'write', install: Install): Steps<FaultResult> {
  const sampled = yield* vm.invalidation.sample();
  if ((yield* vm.m.read(vm.slot)) === 0) return NO_SLOT;
  const page = yield* vm.guestMemory.fault(gfn);
  yield* lock === 'read' ? vm.mmuLock.readLock() : vm.mmuLock.writeLock();
  const mapped = (yield* vm.invalidation.isStale(sampled)) ? false : yield* mapPrivate(vm, gfn, page, install);
  yield* lock === 'read' ? vm.mmuLock.readUnlock() : vm.mmuLock.writeUnlock();
  return mapped ? MAPPED_NOW : RETRY;
}

/**
 * Local retry (K58): a fault that has to be taken again is, without entering the TD, so that it does not feed zero-step
 * mitigation; unless somebody wants the VCPU. True when the guest may go on, false when there is no slot.
 */
export function* retryLocally(vm: Vm, vcpu: number, attempt: () => Steps<FaultResult>): Steps<boolean> {
  for (;;) {
    const result = yield* attempt();
    if (result !== RETRY) return result === MAPPED_NOW;
    if ((vm.vcpus[vcpu]?.kvm.requests() ?? 0) !== 0) return true;
    yield* vm.m.relax(vm.noEntry);
  }
}
