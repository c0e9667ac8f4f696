/** The way back from a split that is busy is a call that can be busy. */
import { splitUnderRead } from '../blocks/split-under-read.ts';
import { hugePagesV5 } from '../policies/huge-pages-v5.ts';
import { mutant } from './mutant.ts';

export default mutant({
  id: 'B-63',
  title:
    'a large page is split with mmu_lock held for read, and stays blocked when the split fails',
  source: 'huge page series for TDX, v3 (Jan 2026), cover, restriction 1',
  base: hugePagesV5,
  breaks: ['K46', 'K65', 'K44'],
  change: {
    *demote(vm, gfn) {
      yield* splitUnderRead(vm, gfn);
    },
  },
});
