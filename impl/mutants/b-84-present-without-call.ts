/** The setter that is used with mmu_lock held for write tells the module of removals only. */
import { demoteUnder } from '../blocks/huge-pages.ts';
import { SPLIT } from '../blocks/resize.ts';
import { hugePagesV5 } from '../policies/huge-pages-v5.ts';
import { mutant } from './mutant.ts';

export default mutant({
  id: 'B-84',
  title:
    'a mirror entry is made to point to a table, and the module is not asked to split the page',
  source:
    'Linux, tdp_mmu.c: tdp_mmu_set_spte(), KVM_BUG_ON(is_mirror_sptep && present), taken away',
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
