/** Operations of a TD's scenarios by name: each calls the guest or an entry point of the policy. */
import { createVcpuTwice } from '../../../impl/blocks/vcpu-list.ts';
import { returnPages } from '../../../impl/blocks/zap.ts';
import {
  guestIdle,
  guestOperation,
  isInside,
  leaveTd,
  withoutVe,
  type GuestAction,
} from '../../../impl/platform/guest.ts';
import type { Vm, VmVcpu } from '../../../impl/vm/vm.ts';
import { REQ_EVENT, REQ_SIGNAL, SLOT_NONE } from '../../../spec/kvm/td-vm.ts';
import type { Steps } from '../../../spec/machine/step.ts';
import type { Operation } from '../scenarios/scenario.ts';

type GuestOperation = (vm: Vm, vcpu: VmVcpu, operation: Operation) => Steps<void>;
type HostOperation = (vm: Vm, operation: Operation) => Steps<void>;

/** A value that no other access of the run writes: it encodes the vCPU and the operation. */
const valueOf = (vm: Vm, vcpu: VmVcpu): number =>
  1 + vcpu.index + 2 * (vm.m.actors[vm.m.current]?.op ?? 0);

/** Makes the guest access or accept a page. */
const acting =
  (action: GuestAction): GuestOperation =>
  (vm, vcpu, { gfn }) =>
    inRun(vm, vcpu, () =>
      guestOperation(vm, vcpu, action, gfn, action === 'touch' ? valueOf(vm, vcpu) : 0),
    );

export const GUEST_OPERATIONS: ReadonlyMap<string, GuestOperation> = new Map<
  string,
  GuestOperation
>([
  ['touch', acting('touch')],
  ['idle', (vm, vcpu) => inRun(vm, vcpu, () => guestIdle(vm, vcpu))],
  ['read', acting('read')],
  ['accept', acting('accept')],
  ['accept-huge', acting('accept-huge')],
  // The guest has disabled the #VE that an access to an unaccepted page causes. It does not where
  // the module hides from the VMM that the page is pending: no VMM can end such an access (F17).
  [
    'touch-no-ve',
    (vm, vcpu, operation) => {
      const touch = acting('touch')(vm, vcpu, operation);
      return vm.tdx.version.reportsPending ? withoutVe(vm, touch) : touch;
    },
  ],
  [
    'pre-fault',
    (vm, vcpu, { gfn }) =>
      holdingMutex(vm, vcpu.index, () => vm.policy.preFault?.(vm, vcpu.index, gfn) ?? nothing()),
  ],
]);

export const HOST_OPERATIONS: ReadonlyMap<string, HostOperation> = new Map<string, HostOperation>([
  [
    'unmap',
    (vm, { gfn, pages }) =>
      reclaiming(vm, gfn, usable(vm, gfn, pages), punch(vm, gfn, usable(vm, gfn, pages))),
  ],
  [
    'remove-table',
    (vm, { gfn, level = 1 }) =>
      reclaiming(
        vm,
        vm.tdx.geometry.align(gfn, level),
        vm.mirror.span(level),
        vm.policy.removeTable(vm, gfn, level),
      ),
  ],
  ['promote', (vm, { gfn }) => vm.policy.promote(vm, gfn)],
  ['demote', (vm, { gfn }) => vm.policy.demote(vm, gfn)],
  [
    'split-folio',
    (vm, { gfn }) => vm.policy.splitFolio?.(vm, gfn) ?? vm.guestMemory.folios.split(gfn),
  ],
  ['merge-folio', (vm, { gfn }) => vm.guestMemory.mergeFolio(gfn)],
  // interrupts become pending on the host's processors, one or many
  ['interrupt', (vm) => vm.m.write(vm.interrupts, 1)],
  ['interrupt-storm', (vm) => vm.m.write(vm.interrupts, STORM)],
  ['remove-slot', removeSlot],
  ['share', (vm, { gfn }) => convert(vm, gfn, true)],
  ['unshare', (vm, { gfn }) => convert(vm, gfn, false)],
  ['event', (vm, { gfn }) => request(vm, gfn, REQ_EVENT)],
  ['signal', (vm, { gfn }) => request(vm, gfn, REQ_SIGNAL)],
  // the next call that removes a page, or adds one with contents, fails for no fault of KVM
  ['fail-seamcall', (vm) => vm.m.write(vm.td.failing, 1)],
  ['create-vcpu', (vm) => createVcpuTwice(vm)],
  ['init-vcpu', (vm, { gfn }) => vm.policy.initVcpu?.(vm, vcpuFor(vm, gfn)) ?? nothing()],
  ['add-memory', (vm, { gfn }) => vm.policy.addMemory?.(vm, gfn) ?? nothing()],
  ['finalize', (vm) => vm.policy.finalize?.(vm) ?? nothing()],
]);

/** No steps. */
function* nothing(): Steps<void> {}

/**
 * KVM_RUN. A TD that is being built refuses it. In scenarios that build one, a vCPU leaves the TD
 * after each operation, so that the ioctls get its mutex.
 */
function inRun(vm: Vm, vcpu: VmVcpu, run: () => Steps<void>): Steps<void> {
  if (vm.kind !== 'new-td') return run();
  return holdingMutex(vm, vcpu.index, function* () {
    if (!vm.td.isRunnable() || !vm.td.isReady(vcpu.index)) return;
    yield* run();
    if (isInside(vm, vcpu)) yield* leaveTd(vm, vcpu);
  });
}

function* holdingMutex(vm: Vm, vcpu: number, body: () => Steps<void>): Steps<void> {
  const mutex = vm.td.vcpuMutexes[vcpu];
  if (mutex === undefined) return;
  yield* mutex.lock();
  yield* body();
  yield* mutex.unlock();
}

/** The vCPU for an operation whose GFN is the number of a vCPU. */
function vcpuFor({ vcpus }: Vm, gfn: number): VmVcpu {
  return vcpus[gfn % vcpus.length] as VmVcpu; // a VM has at least one
}

function* request(vm: Vm, gfn: number, wanted: number): Steps<void> {
  const { kvm } = vcpuFor(vm, gfn);
  yield* kvm.request(wanted);
  yield* kvm.kick();
}

/**
 * Punches a hole into the guest_memfd file. While the file is bound to a memslot, KVM unmaps the
 * pages first; without a memslot they are freed at once (B-52). The lock of the file keeps the
 * population of a TD that is being built out.
 */
function* punch(vm: Vm, gfn: number, pages: number): Steps<void> {
  if (vm.kind === 'new-td') yield* vm.td.filemapLock.lock();
  if (vm.m.peek(vm.slot) === SLOT_NONE) yield* returnPages(vm, gfn, pages);
  else yield* vm.policy.unmap(vm, gfn, pages);
  if (vm.kind === 'new-td') yield* vm.td.filemapLock.unlock();
}

function* removeSlot(vm: Vm): Steps<void> {
  for (const listener of vm.listeners) listener.slotRemovalBegan?.(0, vm.td.slotPages);
  yield* vm.policy.removeSlot(vm);
  for (const listener of vm.listeners) listener.slotRemoved?.(0, vm.td.slotPages);
}

/**
 * KVM_SET_MEMORY_ATTRIBUTES: a GFN becomes shared or private. Within one invalidation the old
 * mapping is zapped and the attribute changes (K39, K43).
 */
function* convert(vm: Vm, gfn: number, toShared: boolean): Steps<void> {
  yield* vm.td.slotsLock.lock();
  yield* vm.mmuLock.writeLock();
  yield* vm.invalidation.begin();
  yield* vm.mmuLock.writeUnlock();
  if (toShared) yield* reclaiming(vm, gfn, 1, punch(vm, gfn, 1));
  yield* vm.m.write(vm.td.attribute(gfn), toShared ? 1 : 0);
  yield* vm.mmuLock.writeLock();
  yield* vm.invalidation.end();
  yield* vm.mmuLock.writeUnlock();
  yield* vm.td.slotsLock.unlock();
}

/** Number of consecutive interrupts: more than a task may tolerate while it holds a lock (K66). */
const STORM = 24;

/** The number of pages from `gfn` on that are within the pages of scenarios. */
const usable = ({ sizes }: Vm, gfn: number, pages: number): number =>
  Math.max(0, Math.min(pages, sizes.usedPages - gfn));

/** An operation that reclaims pages of the guest: rules hear which, before and after. */
function* reclaiming(vm: Vm, gfn: number, pages: number, steps: Steps<void>): Steps<void> {
  for (const listener of vm.listeners) listener.unmapBegan?.(gfn, pages);
  yield* steps;
  for (const listener of vm.listeners) listener.unmapReturned?.(gfn, pages);
}
