/**
 * retry-frozen: an alternative to local retry (P7) that was not merged. The loop stays inside KVM
 * only when the fault met a FROZEN entry (RET_PF_RETRY_FROZEN, September 2024).
 *
 * What it breaks: a fault during an invalidation, or one that lost a cmpxchg, goes back into the TD
 * unresolved: it faults again and counts towards zero-step mitigation all the same (K58).
 *
 * A third alternative, a fault that sleeps until another vCPU exits (Zhi Wang, January 2023), is
 * not modelled: it is slow, not wrong.
 */
import { FROZEN } from '../../spec/kvm/spte.ts';
import type { Steps } from '../../spec/machine/step.ts';
import { faultUnder, MAPPED_NOW, RETRY, retryLocally, throughFrozen } from '../blocks/fault.ts';
import type { Policy } from '../vm/policy.ts';
import type { Vm } from '../vm/vm.ts';
import { frozenMirror } from './frozen-mirror.ts';

/** An entry on the way to `gfn` is FROZEN. */
function* meetsFrozen(vm: Vm, gfn: number): Steps<boolean> {
  return (yield* vm.mirror.walk(gfn, 0)).spte === FROZEN;
}

export const retryFrozen: Policy = {
  ...frozenMirror,
  name: 'retry-frozen',
  group: 'superseded',
  title: 'retry a fault inside KVM only if it met a FROZEN entry',
  proposed:
    'RET_PF_RETRY_FROZEN; Zhao, "TDX: retry seamcall when TDX_OPERAND_BUSY", Sep 2024; not merged',
  breaks: [
    { rule: 'K58', why: 'a fault that meets an invalidation enters the TD again, unresolved' },
  ],
  *fault(vm, vcpu, gfn) {
    return yield* retryLocally(vm, vcpu, function* () {
      const result = yield* faultUnder(vm, gfn, 'read', throughFrozen);
      return result === RETRY && !(yield* meetsFrozen(vm, gfn)) ? MAPPED_NOW : result;
    });
  },
};

export default retryFrozen;
