/** What the operations of a history do: how each name reaches the guest or the policy. */
import type { Steps } from '../spec/machine/step.ts';
import { guestIdle, guestOperation } from '../impl/guest.ts';
import { GUEST_PAGES, USED_PAGES } from '../impl/platform.ts';
import type { Vm, VmVcpu } from '../impl/vm.ts';
import type { Operation } from './histories/history.ts';

type GuestOperation = (vm: Vm, vcpu: VmVcpu, operation: Operation) => Steps<void>;
type HostOperation = (vm: Vm, operation: Operation) => Steps<void>;

/** A value that no other access of the run writes at that page: who, which operation. */
const valueOf = (vm: Vm, vcpu: VmVcpu): number => 1 + vcpu.index + 2 * (vm.m.actors[vm.m.current]?.op ?? 0);

export const GUEST_OPERATIONS: ReadonlyMap<string, GuestOperation> = new Map<string, GuestOperation>([
  ['touch', (vm, vcpu, { gfn }) => guestOperation(vm, vcpu, 'touch', gfn, valueOf(vm, vcpu))],
  ['idle', (vm, vcpu) => guestIdle(vm, vcpu)],
  ['read', (vm, vcpu, { gfn }) => guestOperation(vm, vcpu, 'read', gfn, 0)],
  ['accept', (vm, vcpu, { gfn }) => guestOperation(vm, vcpu, 'accept', gfn, 0)],
  ['accept-huge', (vm, vcpu, { gfn }) => guestOperation(vm, vcpu, 'accept-huge', gfn, 0)],
]);

export const HOST_OPERATIONS: ReadonlyMap<string, HostOperation> = new Map<string, HostOperation>([
  ['unmap', (vm, { gfn, pages }) => taking(vm, gfn, usable(gfn, pages), vm.policy.unmap(vm, gfn, usable(gfn, pages)))],
  ['remove-table', (vm, { gfn }) => taking(vm, vm.tdx.geometry.align(gfn, 1), vm.mirror.span(1),
    vm.policy.removeTable(vm, gfn))],
  ['promote', (vm, { gfn }) => vm.policy.promote(vm, gfn)],
  ['demote', (vm, { gfn }) => vm.policy.demote(vm, gfn)],
  ['split-folio', (vm, { gfn }) => vm.policy.splitFolio?.(vm, gfn) ?? vm.guestMemory.folios.split(gfn)],
  ['merge-folio', (vm, { gfn }) => vm.guestMemory.mergeFolio(gfn)],
  // the processors of the host are about to be interrupted, once or for a while
  ['interrupt', (vm) => vm.m.write(vm.interrupts, 1)],
  ['interrupt-storm', (vm) => vm.m.write(vm.interrupts, STORM)],
  ['remove-slot', (vm) => taking(vm, 0, GUEST_PAGES, vm.policy.removeSlot(vm))],
]);

/** Interrupts that come one after the other: more than anybody should sit out with a lock in hand (K66). */
const STORM = 24;

/** As many pages from `gfn` on as histories use. */
const usable = (gfn: number, pages: number): number => Math.max(0, Math.min(pages, USED_PAGES - gfn));

/** An operation that takes pages from the guest: rules are told which, before and after. */
function* taking(vm: Vm, gfn: number, pages: number, steps: Steps<void>): Steps<void> {
  for (const listener of vm.listeners) listener.unmapBegan?.(gfn, pages);
  yield* steps;
  for (const listener of vm.listeners) listener.unmapReturned?.(gfn, pages);
}
