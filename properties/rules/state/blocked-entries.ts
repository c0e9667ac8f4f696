/** Large entries that stay blocked after mmu_lock is released. */
import type { Vm } from '../../../impl/vm/vm.ts';
import { isPresent } from '../../../spec/kvm/spte.ts';
import { ALL_BLOCKED, among, describeEntry, isLeaf } from '../../../spec/tdx/entry.ts';
import { SUCCESS } from '../../../spec/tdx/status.ts';
import { BLOCK, UNBLOCKS } from './calls.ts';
import { septAt, spteAt, UNREACHED } from './entries.ts';
import { gfnOfKey, keyOfCall, levelOfKey } from './entry-keys.ts';
import { PendingEntries } from './pending-entries.ts';

/**
 * Calls `report` for each large page, or each table, that an actor blocks and leaves blocked when
 * it releases mmu_lock, although the mirror still maps it.
 */
export function watchBlocked(
  vm: Vm,
  of: 'leaf' | 'table',
  report: (entry: string, seen: string) => void,
): void {
  const pending = new PendingEntries(vm);
  vm.tdx.listeners.push({
    ended: (call, status) => {
      if (status !== SUCCESS) return;
      const key = keyOfCall(call);
      if (call.name === BLOCK && levelOfKey(key) > 0) pending.begin(key);
      else if (UNBLOCKS.has(call.name)) pending.finish(key);
    },
  });
  pending.atRelease((name, key) => {
    const [gfn, level] = [gfnOfKey(key), levelOfKey(key)];
    const entry = septAt(vm, gfn, level);
    const spte = spteAt(vm, gfn, level);
    if (entry === UNREACHED || spte === UNREACHED || !isPresent(spte)) return;
    if (among(ALL_BLOCKED, entry) && isLeaf(entry) === (of === 'leaf'))
      report(name, describeEntry(entry));
  });
}
