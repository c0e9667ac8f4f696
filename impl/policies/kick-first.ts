/**
 * kick-first (P8b): vCPUs are barred from the TD and kicked before a page is blocked, and admitted
 * again after it was removed. Discussed for 6.16, and rejected in favour of kick-on-BUSY, because
 * it keeps vCPUs out for longer than necessary.
 *
 * It satisfies every rule: with no vCPU inside and mmu_lock held for write no other actor calls the
 * module about this TD, so every call succeeds at once.
 */
import type { Steps } from '../../spec/machine/step.ts';
import { memTrack } from '../../spec/tdx/functions/mem-track.ts';
import { kickAll } from '../blocks/seamcalls.ts';
import { zapLeaf, type Zap, zappingBy } from '../blocks/zap.ts';
import type { Policy } from '../vm/policy.ts';
import type { Vm } from '../vm/vm.ts';
import { frozenMirror } from './frozen-mirror.ts';

/** Without vCPUs: each call once, and no second kick after TRACK. */
const EXPECTING_SUCCESS: Zap = {
  *call(vm, fn, operands) {
    return yield* vm.seamcall(fn, operands);
  },
  *track(vm) {
    yield* vm.seamcall(memTrack, { rcx: vm.address(vm.tdr) });
  },
};

/** Runs `steps` with every vCPU outside the TD. */
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
  title: 'keep vCPUs out from before BLOCK until after REMOVE',
  proposed: 'alternative to kick on BUSY, discussed for 6.16 and rejected (P8b)',
  never: [
    ...(frozenMirror.never ?? []),
    { rule: 'T05', why: 'no vCPU is inside the TD while a page is zapped' },
  ],
  ...zappingBy((vm, place, at) => withVcpusOut(vm, zapLeaf(vm, place, at, EXPECTING_SUCCESS))),
};

export default kickFirst;
