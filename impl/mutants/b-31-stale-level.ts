/** B-31: the huge page may have been split since. */
import { tdpMmu } from '../tdp-mmu/index.ts';
import { directMutant } from './mutant.ts';

export default directMutant({
  id: 'B-31',
  title: 'The mapping level is looked up before the check for a stale fault',
  source: 'Linux 5.18, host_pfn_mapping_level()',
  breaks: ['K37', 'K12'],
  change: {
    *pageFault(kvm, vcpu, fault) {
      const slot = kvm.slots.find(fault.asId, fault.gfn);
      fault.goal = slot < 0 ? 0 : yield* kvm.primary.mappingLevel(kvm.slots.hvaOf(slot, fault.gfn));
      return yield* tdpMmu.pageFault.call(this, kvm, vcpu, fault);
    },
    *mappingLevel(kvm, fault) {
      const { slot, exec } = fault;
      return slot < 0 || exec || kvm.slots.isLogged(slot) || kvm.slots.place(slot).pages === 1
        ? 0
        : fault.goal;
    },
  },
});
