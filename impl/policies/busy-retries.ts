/**
 * What a private fault could do about BUSY and FROZEN instead of local retry (P7); none was merged.
 *
 * retry-frozen: the loop stays inside KVM only when the fault met a FROZEN entry
 * (RET_PF_RETRY_FROZEN, September 2024). A fault that comes during an invalidation, or that lost a
 * cmpxchg, goes back into the TD unresolved: it faults again and feeds zero-step mitigation all the
 * same (K58).
 *
 * busy-needbreak: BUSY counts as contention of mmu_lock: the zap drops the lock, lets others run
 * and tries again (Kai Huang, January 2023). The mirror has forgotten the entry by then, so that a
 * fault comes in between and finds it still there (S01); nothing bounds the tries, and nobody is
 * kept out (K56).
 *
 * A third, to let the fault sleep until another vCPU exits (Zhi Wang, January 2023), is not here:
 * it is slow, not wrong.
 */
import { FROZEN } from '../../spec/kvm/spte.ts';
import type { Steps } from '../../spec/machine/step.ts';
import type { Call, Operands } from '../../spec/tdx/call.ts';
import { memTrack } from '../../spec/tdx/functions/mem-track.ts';
import type { InterfaceFunction } from '../../spec/tdx/module.ts';
import * as S from '../../spec/tdx/status.ts';
import { faultUnder, MAPPED_NOW, RETRY, retryLocally, throughFrozen } from '../blocks/fault.ts';
import { demotePage } from '../blocks/resize.ts';
import { kickAll } from '../blocks/seamcalls.ts';
import { unmapUnder, zapLeaf, zapLeaves, type Zap } from '../blocks/zap.ts';
import type { Policy } from '../vm/policy.ts';
import { isStatus, type Vm } from '../vm/vm.ts';
import { frozenMirror } from './frozen-mirror.ts';

/** Is an entry on the way to `gfn` FROZEN? */
function* meetsFrozen(vm: Vm, gfn: number): Steps<boolean> {
  return (yield* vm.mirror.walk(gfn, 0)).spte === FROZEN;
}

export const retryFrozen: Policy = {
  ...frozenMirror,
  name: 'retry-frozen',
  title: 'retry inside KVM only where the fault met a FROZEN entry',
  proposed:
    'RET_PF_RETRY_FROZEN; Yan Zhao, "TDX: retry seamcall when TDX_OPERAND_BUSY", Sep 2024; not merged',
  breaks: [
    { rule: 'K58', why: 'a fault that an invalidation sends back enters the TD again, unresolved' },
  ],
  *fault(vm, vcpu, gfn) {
    return yield* retryLocally(vm, vcpu, function* () {
      const result = yield* faultUnder(vm, gfn, 'read', throughFrozen);
      return result === RETRY && !(yield* meetsFrozen(vm, gfn)) ? MAPPED_NOW : result;
    });
  },
};

/** Drops mmu_lock while the module is busy. */
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
  title: 'a zap that meets BUSY drops mmu_lock, lets others run and tries again',
  proposed: 'Kai Huang, Jan 2023, in the thread (seamcall_needbreak); not merged',
  breaks: [{ rule: 'K56', why: 'vCPUs are not kept out, and nothing bounds the tries' }],
  *unmap(vm, gfn, pages) {
    yield* unmapUnder(vm, gfn, pages, () =>
      zapLeaves(vm, gfn, pages, demotePage, (v, place, at) => zapLeaf(v, place, at, YIELDING)),
    );
  },
};

export default retryFrozen;
