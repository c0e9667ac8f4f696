/**
 * Operations of an ordinary VM's scenarios by name: each calls the guest or an entry point of the
 * policy. GFNs are of address space 0, except those of the `smm-` operations.
 */
import { firstHva } from '../../../impl/platform/kvm-platform.ts';
import {
  guestAccess,
  guestIdle,
  legacyFault,
  prefault,
  shadowFault,
} from '../../../impl/platform/run-vcpu.ts';
import type { TdpMmu } from '../../../impl/tdp-mmu/tdp-mmu.ts';
import type { Vm } from '../../../impl/vm/vm.ts';
import type { Kvm, KvmVcpu } from '../../../spec/kvm/kvm.ts';
import { NO_MEMSLOT, type Slot } from '../../../spec/kvm/memslots.ts';
import type { PrimaryMmu } from '../../../spec/kvm/primary-mmu.ts';
import type { Steps } from '../../../spec/machine/step.ts';
import type { Operation } from '../scenarios/scenario.ts';

type GuestOperation = (kvm: Kvm, mmu: TdpMmu, vcpu: KvmVcpu, operation: Operation) => Steps<void>;
type HostOperation = (kvm: Kvm, mmu: TdpMmu, operation: Operation) => Steps<void>;

/** A value that no other access of the run writes: it encodes the vCPU and the operation. */
const valueOf = ({ m }: Kvm, { index }: KvmVcpu): number =>
  1 + index + 2 * (m.actors[m.current]?.op ?? 0);

/** The host writes it into a reclaimed page. */
const POISON = -1;

export const GUEST_OPERATIONS_OF_A_VM: ReadonlyMap<string, GuestOperation> = new Map<
  string,
  GuestOperation
>([
  [
    'touch',
    (kvm, mmu, vcpu, { gfn }) => guestAccess(kvm, mmu, vcpu, 0, gfn, 'write', valueOf(kvm, vcpu)),
  ],
  ['read', (kvm, mmu, vcpu, { gfn }) => guestAccess(kvm, mmu, vcpu, 0, gfn, 'read', 0)],
  ['exec', (kvm, mmu, vcpu, { gfn }) => guestAccess(kvm, mmu, vcpu, 0, gfn, 'exec', 0)],
  [
    'smm-touch',
    (kvm, mmu, vcpu, { gfn }) =>
      guestAccess(kvm, mmu, vcpu, 1, smmGfn(kvm, gfn), 'write', valueOf(kvm, vcpu)),
  ],
  [
    'smm-exec',
    (kvm, mmu, vcpu, { gfn }) => guestAccess(kvm, mmu, vcpu, 1, smmGfn(kvm, gfn), 'exec', 0),
  ],
  [
    'nested-touch',
    (kvm, mmu, vcpu, { gfn }) => guestAccess(kvm, mmu, vcpu, 2, gfn, 'write', valueOf(kvm, vcpu)),
  ],
  ['nested-read', (kvm, mmu, vcpu, { gfn }) => guestAccess(kvm, mmu, vcpu, 2, gfn, 'read', 0)],
  ['idle', guestIdle],
  ['prefault', (kvm, mmu, vcpu, { gfn, pages }) => prefault(kvm, mmu, vcpu, gfn, pages)],
  ['shadow-touch', (kvm, mmu, vcpu, { gfn }) => shadowFault(kvm, mmu, vcpu, gfn)],
  ['legacy-read', (kvm, mmu, vcpu, { gfn }) => legacyFault(kvm, mmu, vcpu, gfn)],
]);

/** A GFN of SMRAM, which is as large as a huge page. */
const smmGfn = ({ tables }: Kvm, gfn: number): number => gfn % tables.span(1);

/** The user address of a GFN of address space 0. */
const hvaOf = (kvm: Kvm, gfn: number): number => firstHva(kvm) + gfn;

/** First GFN of the huge page around a GFN. */
const headOf = ({ tables }: Kvm, gfn: number): number => tables.align(gfn, 1);

/** Acts on the memslot that has a GFN, or that has it when it exists. */
const onSlot = (kvm: Kvm, gfn: number, act: (slot: Slot) => Steps<void>): Steps<void> => {
  const present = kvm.slots.find(0, gfn);
  const slot =
    present !== NO_MEMSLOT ? present : kvm.slots.places.findIndex((place) => isAt(place, gfn));
  return slot === NO_MEMSLOT ? nothing() : act(slot);
};

const isAt = (
  place: { readonly asId: number; readonly gfn: number; readonly pages: number },
  gfn: number,
): boolean => place.asId === 0 && gfn >= place.gfn && gfn < place.gfn + place.pages;

/** The GFN to which a slot moves: the one after its first place, or back. */
const otherGfnOf = ({ slots }: Kvm, slot: Slot): number => {
  const { gfn } = slots.place(slot);
  return slots.gfnOf(slot) === gfn ? gfn + 1 : gfn;
};

/** No steps. */
function* nothing(): Steps<void> {}

/** The primary MMU splits the huge folios that cross the bounds of a range, each by a notifier. */
function* splitAround(kvm: Kvm, mmu: TdpMmu, gfn: number, pages: number): Steps<void> {
  const span = kvm.tables.span(1);
  for (const at of new Set([headOf(kvm, gfn), headOf(kvm, gfn + pages - 1)])) {
    const isWhole = at >= gfn && at + span <= gfn + pages;
    if (!isWhole && kvm.primary.isHuge(hvaOf(kvm, at))) {
      yield* withNotifier(kvm, mmu, at, span, (hva) => kvm.primary.setHuge(hva, false));
    }
  }
}

/** A notifier of the primary MMU: it reclaims pages, and the host reuses them. */
function* unmap(kvm: Kvm, mmu: TdpMmu, { gfn, pages }: Operation, mayBlock: boolean): Steps<void> {
  const what = mayBlock ? 'unmap' : 'unmap-atomic';
  const hva = hvaOf(kvm, gfn);
  const count = Math.min(pages, kvm.primary.addresses - hva);
  yield* kvm.primary.mmapLock.readLock();
  yield* splitAround(kvm, mmu, gfn, count);
  kvm.promise(what, 0, gfn, count);
  yield* mmu.invalidateRange(kvm, hva, count, mayBlock, () => reuse(kvm, kvm.primary, hva, count));
  kvm.keep(what, 0, gfn, count);
  yield* kvm.primary.mmapLock.readUnlock();
}

/** The host reclaims pages and reuses them. */
function* reuse(kvm: Kvm, memory: PrimaryMmu, first: number, pages: number): Steps<void> {
  for (let at = first; at < first + pages; at++) {
    const page = yield* memory.release(at);
    if (page < 0) continue;
    yield* kvm.m.write(kvm.memory.word(page, 0), POISON);
    for (const listener of kvm.listeners) listener.hostUsed?.(page);
  }
}

/** The primary MMU makes a page read-only. */
function* protect(kvm: Kvm, mmu: TdpMmu, gfn: number): Steps<void> {
  yield* kvm.primary.mmapLock.readLock();
  yield* splitAround(kvm, mmu, gfn, 1);
  yield* withNotifier(kvm, mmu, gfn, 1, (hva) => kvm.primary.protect(hva));
  yield* kvm.primary.mmapLock.readUnlock();
}

/** khugepaged: the primary MMU backs the pages of a huge page by one folio. */
function* merge(kvm: Kvm, mmu: TdpMmu, gfn: number): Steps<void> {
  yield* kvm.primary.mmapLock.writeLock();
  yield* withNotifier(kvm, mmu, gfn, kvm.tables.span(1), (hva) => kvm.primary.setHuge(hva, true));
  yield* kvm.primary.mmapLock.writeUnlock();
}

/** A notifier around a change of the primary MMU's mapping that keeps the pages. */
const withNotifier = (
  kvm: Kvm,
  mmu: TdpMmu,
  gfn: number,
  pages: number,
  change: (hva: number) => Steps<void>,
): Steps<void> =>
  mmu.invalidateRange(kvm, hvaOf(kvm, gfn), pages, true, () => change(hvaOf(kvm, gfn)));

export const HOST_OPERATIONS_OF_A_VM: ReadonlyMap<string, HostOperation> = new Map<
  string,
  HostOperation
>([
  ['unmap', (kvm, mmu, operation) => unmap(kvm, mmu, operation, true)],
  ['unmap-atomic', (kvm, mmu, operation) => unmap(kvm, mmu, operation, false)],
  ['protect', (kvm, mmu, { gfn }) => protect(kvm, mmu, gfn)],
  [
    'split-folio',
    (kvm, mmu, { gfn }) =>
      withNotifier(kvm, mmu, headOf(kvm, gfn), kvm.tables.span(1), (hva) =>
        kvm.primary.setHuge(hva, false),
      ),
  ],
  ['merge-folio', (kvm, mmu, { gfn }) => merge(kvm, mmu, headOf(kvm, gfn))],
  ['age', (kvm, mmu, { gfn, pages }) => mmu.ageRange(kvm, hvaOf(kvm, gfn), pages)],
  ['create-slot', (kvm, mmu, { gfn }) => onSlot(kvm, gfn, (slot) => mmu.createSlot(kvm, slot))],
  ['delete-slot', (kvm, mmu, { gfn }) => onSlot(kvm, gfn, (slot) => mmu.deleteSlot(kvm, slot))],
  [
    'move-slot',
    (kvm, mmu, { gfn }) =>
      onSlot(kvm, gfn, (slot) => mmu.moveSlot(kvm, slot, otherGfnOf(kvm, slot))),
  ],
  [
    'read-only',
    (kvm, mmu, { gfn }) => onSlot(kvm, gfn, (slot) => mmu.setReadOnly(kvm, slot, true)),
  ],
  ['log', (kvm, mmu, { gfn }) => onSlot(kvm, gfn, (slot) => mmu.startLog(kvm, slot))],
  ['collect', (kvm, mmu, { gfn }) => onSlot(kvm, gfn, (slot) => mmu.collectLog(kvm, slot))],
  ['unlog', (kvm, mmu, { gfn }) => onSlot(kvm, gfn, (slot) => mmu.stopLog(kvm, slot))],
  ['recover-nx', (kvm, mmu) => mmu.recoverNx(kvm)],
  ['zap-all', (kvm, mmu) => mmu.zapAllFast(kvm)],
  // KVM zaps whole ranges: a slot of one page, or a group of pages that no huge page crosses
  [
    'zap-range',
    (kvm, mmu, { gfn }) => {
      const span = kvm.tables.span(1);
      return gfn >= 2 * span
        ? mmu.zapGfnRange(kvm, gfn, 1)
        : mmu.zapGfnRange(kvm, headOf(kvm, gfn), span);
    },
  ],
  ['track', (kvm, mmu, { gfn }) => trackGfn(kvm, mmu, gfn, true)],
  ['untrack', (kvm, mmu, { gfn }) => trackGfn(kvm, mmu, gfn, false)],
  ['to-private', (kvm, mmu, { gfn }) => convert(kvm, mmu, gfn, true)],
  ['to-shared', (kvm, mmu, { gfn }) => convert(kvm, mmu, gfn, false)],
  ['punch', (kvm, mmu, { gfn }) => punch(kvm, mmu, headOf(kvm, gfn), kvm.tables.span(1))],
  ['close-memfd', (kvm, mmu) => mmu.releaseMemfd(kvm)],
  ['signal', (kvm, _mmu, { gfn }) => signal(kvm, gfn)],
]);

const trackGfn = (kvm: Kvm, mmu: TdpMmu, gfn: number, tracked: boolean): Steps<void> => {
  const slot = kvm.slots.find(0, gfn);
  return slot === NO_MEMSLOT ? nothing() : mmu.trackGfn(kvm, slot, gfn, tracked);
};

/** guest_memfd frees private pages, in whole folios. */
function* punch(kvm: Kvm, mmu: TdpMmu, gfn: number, pages: number): Steps<void> {
  const { memory } = kvm.attributes;
  kvm.promise('unmap', 0, gfn, pages);
  yield* mmu.punchHole(kvm, gfn, pages, () => reuse(kvm, memory, gfn, pages));
  kvm.keep('unmap', 0, gfn, pages);
}

/** Converts a GFN that has a memslot. */
const convert = (kvm: Kvm, mmu: TdpMmu, gfn: number, isPrivate: boolean): Steps<void> =>
  kvm.slots.find(0, gfn) === NO_MEMSLOT ? nothing() : mmu.convert(kvm, gfn, isPrivate);

/** Sends a signal to a vCPU: a loop on its behalf has to end. */
function* signal(kvm: Kvm, gfn: number): Steps<void> {
  const vcpu = kvm.vcpus[gfn % kvm.vcpus.length];
  if (vcpu !== undefined) yield* kvm.m.write(vcpu.signal, 1);
}

/**
 * Steps of an operation on an ordinary VM, by a vCPU (its index) or by the host (-1); undefined
 * when the actor has no such operation.
 */
export const operationOfAVm = (
  vm: Vm,
  index: number,
  operation: Operation,
): Steps<void> | undefined => {
  const {
    kvm,
    policy: { direct },
  } = vm;
  const vcpu = kvm.vcpus[index];
  if (vcpu === undefined)
    return HOST_OPERATIONS_OF_A_VM.get(operation.name)?.(kvm, direct, operation);
  return GUEST_OPERATIONS_OF_A_VM.get(operation.name)?.(kvm, direct, vcpu, operation);
};
