/**
 * side-sept (P10): the Secure EPT is kept beside the TDP MMU, under one lock. All memory is mapped
 * when the VM is created, and what changes afterwards are conversions; a fault is none of KVM's
 * business: it goes to user space, which asks for the page as private, as for any conversion.
 * Proposed by David Matlack on 20 January 2023; rejected for the cost of mapping everything first,
 * and because implicit conversions make faults after all.
 *
 * It holds every rule: one lock for everything, mmu_lock held for write here, leaves nobody to race
 * with.
 */
import type { Steps } from '../../spec/machine/step.ts';
import { faultUnder, retryLocally, throughFrozen } from '../blocks/fault.ts';
import type { Policy } from '../vm/policy.ts';
import { USED_PAGES } from '../vm/size.ts';
import type { Vm } from '../vm/vm.ts';
import { frozenMirror } from './frozen-mirror.ts';

export const sideSept: Policy = {
  ...frozenMirror,
  name: 'side-sept',
  group: 'proposal',
  title: 'everything mapped at creation, conversions under one lock, no faults',
  proposed: 'Matlack, 20 Jan 2023 (P10; thread, message 8); rejected (message 9)',
  *fault(vm, vcpu, gfn) {
    return yield* retryLocally(vm, vcpu, () => faultUnder(vm, gfn, 'write', throughFrozen));
  },
  *populate(vm: Vm): Steps<void> {
    for (let gfn = 0; gfn < USED_PAGES; gfn++) yield* faultUnder(vm, gfn, 'write', throughFrozen);
  },
};

export default sideSept;
