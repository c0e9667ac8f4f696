/**
 * Splits with mmu_lock held for read, where the module needs no block: DEMOTE is done or has
 * changed nothing, so that a frozen mirror entry is enough. Source: huge page series v3, patches 9
 * and 13.
 */
import type { Vm } from '../../../impl/vm/vm.ts';
import { FROZEN } from '../../../spec/kvm/spte.ts';
import type { Call } from '../../../spec/tdx/call.ts';
import { ALL_BLOCKED, among } from '../../../spec/tdx/entry.ts';
import { DEMOTE } from './calls.ts';
import { septAt, spteAt, UNREACHED } from './entries.ts';
import { gfnOfCall, levelOfCall } from './entry-keys.ts';

/** The current actor holds mmu_lock for read, and may split a large page that it freezes. */
export const maySplitFrozen = (vm: Vm): boolean =>
  !vm.tdx.version.demoteNeedsBlock && vm.mmuLock.heldForRead(vm.m.current);

/** The entry of a call is blocked in the Secure EPT. */
export function isEntryBlocked(vm: Vm, call: Call): boolean {
  const entry = septAt(vm, gfnOfCall(call), levelOfCall(call));
  return entry !== UNREACHED && among(ALL_BLOCKED, entry);
}

/** The call splits a page so: its mirror entry is frozen, and the Secure EPT maps it unblocked. */
export const isSplitUnderRead = (vm: Vm, call: Call): boolean =>
  call.name === DEMOTE &&
  maySplitFrozen(vm) &&
  spteAt(vm, gfnOfCall(call), levelOfCall(call)) === FROZEN &&
  !isEntryBlocked(vm, call);
