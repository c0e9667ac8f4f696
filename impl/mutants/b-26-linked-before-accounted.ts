/** B-26: the initialization of a table runs after it is linked. */
import { tdpMmu } from '../tdp-mmu/index.ts';
import { directMutant } from './mutant.ts';

export default directMutant({
  id: 'B-26',
  title: 'A table is visible before it is accounted and listed',
  source: 'Linux 5.12 to 6.1, kvm_tdp_mmu_map(); fixed in 6.2',
  breaks: ['K13', 'K14'],
  change: {
    *prepareTable() {},
    *tableLinked(kvm, fault, walk, table) {
      yield* tdpMmu.prepareTable.call(this, kvm, fault, walk, table);
      yield* tdpMmu.tableLinked.call(this, kvm, fault, walk, table);
    },
  },
});
