/**
 * side-sept (P10): the Secure EPT is kept beside the TDP MMU, under one lock. All memory is mapped
 * when the VM is created, and only conversions change it afterwards; KVM passes a fault to user
 * space, which converts the page to private. Proposed by David Matlack on 20 January 2023; rejected
 * for the cost of mapping everything first, and because implicit conversions do fault.
 *
 * It satisfies every rule: one lock for everything, here mmu_lock held for write, excludes races.
 */
import type { Steps } from '../../spec/machine/step.ts';
import { faultUnder, retryLocally, throughFrozen } from '../blocks/fault.ts';
import type { Policy } from '../vm/policy.ts';
import type { Vm } from '../vm/vm.ts';
import { frozenMirror } from './frozen-mirror.ts';

export const sideSept: Policy = {
  ...frozenMirror,
  name: 'side-sept',
  group: 'proposal',
  title: 'map everything at creation, convert under one lock, handle no faults',
  proposed: 'Matlack, 20 Jan 2023 (P10; thread, message 8); rejected (message 9)',
  *fault(vm, vcpu, gfn) {
    return yield* retryLocally(vm, vcpu, () => faultUnder(vm, gfn, 'write', throughFrozen));
  },
  *populate(vm: Vm): Steps<void> {
    for (let gfn = 0; gfn < vm.sizes.usedPages; gfn++)
      yield* faultUnder(vm, gfn, 'write', throughFrozen);
  },
};

export default sideSept;
