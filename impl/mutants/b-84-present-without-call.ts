/** B-84: the setter for mmu_lock held for write calls the module for removals only. */
import { demoteUnder } from '../blocks/huge-pages.ts';
import { SPLIT } from '../blocks/resize.ts';
import { hugePagesV5 } from '../policies/huge-pages-v5.ts';
import { mutant } from './mutant.ts';

export default mutant({
  id: 'B-84',
  title: 'A mirror entry is changed to a table without a DEMOTE in the module',
  source: 'Linux without KVM_BUG_ON(is_mirror_sptep && present) in tdp_mmu_set_spte()',
  base: hugePagesV5,
  breaks: ['K49', 'K44'],
  change: {
    *demote(vm, gfn) {
      yield* demoteUnder(vm, gfn, {
        ...SPLIT,
        *block() {},
        *resize() {
          return true;
        },
      });
    },
  },
});
