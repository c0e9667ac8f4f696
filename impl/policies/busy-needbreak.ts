/**
 * busy-needbreak: an alternative to the kick on BUSY (P8) that was not merged. BUSY counts as
 * contention of mmu_lock: the zap drops the lock, lets others run and tries again (Kai Huang,
 * January 2023).
 *
 * What it breaks: the mirror has forgotten the entry by then, so a fault in between finds it in the
 * Secure EPT still (S01); nothing bounds the tries, and nothing keeps vCPUs out (K56).
 */
import type { Steps } from '../../spec/machine/step.ts';
import type { Call, Operands } from '../../spec/tdx/call.ts';
import { memTrack } from '../../spec/tdx/functions/mem-track.ts';
import type { InterfaceFunction } from '../../spec/tdx/module.ts';
import * as S from '../../spec/tdx/status.ts';
import { demotePage } from '../blocks/resize.ts';
import { kickAll } from '../blocks/seamcalls.ts';
import { unmapUnder, zapLeaf, zapLeaves, type Zap } from '../blocks/zap.ts';
import type { Policy } from '../vm/policy.ts';
import { isStatus, type Vm } from '../vm/vm.ts';
import { frozenMirror } from './frozen-mirror.ts';

/** Repeats a call, dropping mmu_lock each time the module is busy. */
function* yielding(
  vm: Vm,
  fn: InterfaceFunction,
  operands: Partial<Operands>,
  tolerated: readonly S.Status[] = [],
): Steps<Call> {
  for (;;) {
    const call = yield* vm.seamcall(fn, operands, [S.OPERAND_BUSY, ...tolerated]);
    if (!isStatus(call, S.OPERAND_BUSY)) return call;
    yield* vm.mmuLock.writeUnlock();
    yield* vm.m.relax(vm.noEntry);
    yield* vm.mmuLock.writeLock();
  }
}

const YIELDING: Zap = {
  call: yielding,
  *track(vm) {
    yield* yielding(vm, memTrack, { rcx: vm.address(vm.tdr) });
    yield* kickAll(vm);
  },
};

export const busyNeedbreak: Policy = {
  ...frozenMirror,
  name: 'busy-needbreak',
  group: 'superseded',
  title: 'drop mmu_lock when a zap meets BUSY, and retry',
  proposed: 'Kai Huang, Jan 2023, in the thread (seamcall_needbreak); not merged',
  breaks: [{ rule: 'K56', why: 'vCPUs are not kept out, and nothing bounds the tries' }],
  *unmap(vm, gfn, pages) {
    yield* unmapUnder(vm, gfn, pages, () =>
      zapLeaves(vm, gfn, pages, demotePage, (v, place, at) => zapLeaf(v, place, at, YIELDING)),
    );
  },
};

export default busyNeedbreak;
