/**
 * kick-first (P8b): vCPUs are barred from the TD and kicked before a page is blocked, and let in
 * again after it was removed. Discussed for 6.16 and rejected for kick-on-BUSY, as it keeps vCPUs
 * out for longer than it has to.
 *
 * It holds every rule: with no vCPU inside and mmu_lock held for write there is nobody whom a call
 * could find in the way, so that every call succeeds at the first try.
 */
import type { Steps } from '../../spec/machine/step.ts';
import { memTrack } from '../../spec/tdx/functions/mem-track.ts';
import { kickAll } from '../blocks/seamcalls.ts';
import { zapLeaf, type Zap, zappingBy } from '../blocks/zap.ts';
import type { Policy } from '../vm/policy.ts';
import type { Vm } from '../vm/vm.ts';
import { frozenMirror } from './frozen-mirror.ts';

/** With vCPUs out of the way: each call once, and no second kick after TRACK. */
const EXPECTING_SUCCESS: Zap = {
  *call(vm, fn, operands) {
    return yield* vm.seamcall(fn, operands);
  },
  *track(vm) {
    yield* vm.seamcall(memTrack, { rcx: vm.address(vm.tdr) });
  },
};

/** Runs `steps` while no vCPU is in the TD. */
function* withVcpusOut(vm: Vm, steps: Steps<void>): Steps<void> {
  yield* vm.m.write(vm.noEntry, 1);
  yield* kickAll(vm);
  yield* steps;
  yield* vm.m.write(vm.noEntry, 0);
}

export const kickFirst: Policy = {
  ...frozenMirror,
  name: 'kick-first',
  group: 'proposal',
  title: 'vCPUs are kept out from before BLOCK until after REMOVE',
  proposed: 'alternative to kick on BUSY, discussed for 6.16 and rejected (P8b)',
  never: [
    ...(frozenMirror.never ?? []),
    { rule: 'T05', why: 'no vCPU is inside the TD while a page is taken away' },
  ],
  ...zappingBy((vm, place, at) => withVcpusOut(vm, zapLeaf(vm, place, at, EXPECTING_SUCCESS))),
};

export default kickFirst;
