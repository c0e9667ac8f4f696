/** B-39: the fault has been adjusted to a huge page since. */
import { directMutant } from './mutant.ts';

export default directMutant({
  id: 'B-39',
  title: 'A fault puts the first page of the huge page, not the page that it got',
  source: 'Linux 6.12, kvm_tdp_mmu_page_fault()',
  breaks: ['K37'],
  change: {
    *finishFaultin(kvm, fault) {
      if (fault.page >= 0) yield* kvm.primary.put(fault.goal > 0 ? fault.page & ~1 : fault.page);
    },
  },
});
