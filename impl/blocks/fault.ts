/**
 * Faults that map a private page. Policies differ in how a mirror entry and its Secure EPT entry
 * change together: that is `install`; the walk, the page and the staleness check are common.
 */
import {
  EMPTY,
  FROZEN,
  kindOfSpte,
  LEAF,
  leafSpte,
  TABLE,
  tableSpte,
  type Spte,
} from '../../spec/kvm/spte.ts';
import type { SptePlace } from '../../spec/kvm/tables.ts';
import { SLOT_INVALID, SLOT_NONE, SLOT_VALID } from '../../spec/kvm/td-vm.ts';
import { EXIT_PENDING } from '../../spec/kvm/vcpu-exit.ts';
import { NO_PAGE, pageNumberOf } from '../../spec/machine/pages.ts';
import type { Steps } from '../../spec/machine/step.ts';
import type { Operands } from '../../spec/tdx/call.ts';
import { pageAug } from '../../spec/tdx/functions/page-aug.ts';
import { septAdd } from '../../spec/tdx/functions/sept-add.ts';
import type { InterfaceFunction } from '../../spec/tdx/module.ts';
import * as S from '../../spec/tdx/status.ts';
import { mapping, succeeded, type Vm } from '../vm/vm.ts';

/**
 * A change of an empty mirror entry to `to`, with the call that makes the same change in the Secure
 * EPT.
 */
export interface Installation {
  readonly place: SptePlace;
  readonly to: Spte;
  readonly fn: InterfaceFunction;
  readonly operands: Partial<Operands>;
}

/** Carries out a change; false if that failed and the fault must be retried. */
export type Install = (vm: Vm, change: Installation) => Steps<boolean>;

/** Returns the change that maps `page` at `gfn`, once the walk has reached `place`. */
export type LeafChange = (vm: Vm, place: SptePlace, gfn: number, page: number) => Installation;

/**
 * Maps `gfn`, which `page` backs, at `level`, or at 0 where a table exists already; adds tables
 * from the top down. The caller holds mmu_lock. Returns false if the fault must be retried.
 */
export function* mapPrivate(
  vm: Vm,
  gfn: number,
  page: number,
  install: Install,
  level = 0,
  leaf: LeafChange = augLeaf,
): Steps<boolean> {
  for (let goal = level; ;) {
    const place = yield* vm.mirror.walk(gfn, goal);
    const kind = kindOfSpte(place.spte);
    if (kind === LEAF) return true;
    if (kind === TABLE) goal = 0;
    else if (place.spte !== EMPTY) return false;
    else if (place.level === goal) return yield* install(vm, leaf(vm, place, gfn, page));
    else if (!(yield* addTable(vm, place, gfn, install))) return false;
  }
}

/** A leaf by PAGE.AUG: a page, or the large one that contains it, that the guest must accept. */
export const augLeaf: LeafChange = (vm, place, gfn, page) => {
  const first = page - (gfn - vm.mirror.align(gfn, place.level));
  const operands = { ...mapping(vm, gfn, place.level), r8: vm.address(first) };
  return { place, to: leafSpte(first), fn: pageAug, operands };
};

/** Adds a table below `place`; frees the tables if the change fails. */
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
 * The frozen window (K44): the mirror entry is FROZEN while the Secure EPT changes; then it gets
 * its new value, or the old one if the call failed. No walk passes a FROZEN entry, so that no call
 * for a child overtakes the one for its parent (K45).
 */
export const throughFrozen: Install = function* (vm, { place, to, fn, operands }) {
  if (!(yield* vm.mirror.cmpxchg(place.table, place.index, place.spte, FROZEN))) return false;
  const call = yield* vm.seamcall(fn, operands, [S.OPERAND_BUSY]);
  yield* vm.mirror.write(place.table, place.index, succeeded(call) ? to : place.spte);
  return succeeded(call);
};

/** Result of a fault: the page is mapped. */
export const MAPPED_NOW = 0;
/** The fault must be retried. */
export const RETRY = 1;
/** There is no memslot, or the GFN is shared: the vCPU exits to user space. */
export const NO_SLOT = 2;
/** Results of a fault. */
export type FaultResult = typeof MAPPED_NOW | typeof RETRY | typeof NO_SLOT;

/**
 * Handles a fault in upstream's order: sample the sequence number, look up the slot, get the page,
 * take mmu_lock, check that nothing was invalidated meanwhile, map (K37). Every private fault is
 * one for writing, whatever the access was, because the Secure EPT maps pages writable (K61).
 */
export function* faultUnder(
  vm: Vm,
  gfn: number,
  lock: 'read' | 'write',
  install: Install,
  { forWriting = true, leaf = augLeaf }: FaultOptions = {},
): Steps<FaultResult> {
  const sampled = yield* vm.invalidation.sample();
  const slot = yield* vm.findSlot(gfn);
  if (slot !== SLOT_VALID) return slot === SLOT_NONE ? NO_SLOT : RETRY;
  const page = yield* vm.guestMemory.fault(gfn, forWriting);
  yield* lock === 'read' ? vm.mmuLock.readLock() : vm.mmuLock.writeLock();
  const mapped = (yield* vm.invalidation.isStale(sampled))
    ? false
    : yield* mapPrivate(vm, gfn, page, install, 0, leaf);
  yield* lock === 'read' ? vm.mmuLock.readUnlock() : vm.mmuLock.writeUnlock();
  return mapped ? MAPPED_NOW : RETRY;
}

/** What differs from a fault of a running TD. */
export interface FaultOptions {
  /** The page is resolved for writing; true when absent. */
  readonly forWriting?: boolean;
  /** {@link augLeaf} when absent. */
  readonly leaf?: LeafChange;
}

/**
 * Local retry (K58): a fault to be retried is retried inside KVM, without re-entering the TD, so
 * that it does not count towards zero-step mitigation; a pending event or signal ends the loop.
 * Returns true if the guest may go on, false if there is no memslot.
 *
 * An access to a mapped page that the guest has not accepted, with #VE disabled, would fault for
 * ever: KVM ends such a TD (K60).
 */
export function* retryLocally(
  vm: Vm,
  vcpu: number,
  attempt: () => Steps<FaultResult>,
  leave: Leave = isWanted,
): Steps<boolean> {
  if (((vm.vcpus[vcpu]?.exit.flags ?? 0) & EXIT_PENDING) !== 0) {
    yield* vm.kill();
    return false;
  }
  return yield* retryUntil(vm, vcpu, attempt, leave);
}

/**
 * The retry loop of vCPU `vcpu`, which faulted on `gfn`, must end although the fault is not
 * resolved.
 */
export type Leave = (vm: Vm, vcpu: number, gfn: number) => boolean;

/** An event or a signal is pending, the VM is dead, or the slot is being deleted (K42, K58). */
export const isWanted: Leave = (vm, vcpu, gfn) => hasRequests(vm, vcpu) || isSlotGoing(vm, gfn);

/** An event or a signal is pending, or the VM is dead. */
export const hasRequests = (vm: Vm, vcpu: number): boolean =>
  (vm.vcpus[vcpu]?.kvm.requests() ?? 0) !== 0;

/** The slot of `gfn` is KVM_MEMSLOT_INVALID: its deletion waits for every SRCU section. */
export const isSlotGoing = (vm: Vm, gfn: number): boolean =>
  gfn < vm.td.slotPages && vm.m.peek(vm.slot) === SLOT_INVALID;

/** Retries a fault until it is resolved, or `leave` ends the loop. */
export function* retryUntil(
  vm: Vm,
  vcpu: number,
  attempt: () => Steps<FaultResult>,
  leave: Leave,
): Steps<boolean> {
  for (;;) {
    const result = yield* attempt();
    if (result !== RETRY) return result === MAPPED_NOW;
    if (leave(vm, vcpu, vm.vcpus[vcpu]?.exit.gfn ?? 0)) return !vm.td.isDead();
    yield* vm.m.relax(vm.noEntry);
  }
}
