/** B-63: a busy split is undone by a SEAMCALL that can be busy too. */
import { splitUnderRead } from '../blocks/split-under-read.ts';
import { hugePagesV5 } from '../policies/huge-pages-v5.ts';
import { mutant } from './mutant.ts';

export default mutant({
  id: 'B-63',
  title: 'A large page is split with mmu_lock held for read, and stays blocked if the split fails',
  source: 'huge page series for TDX, v3 (Jan 2026), cover, restriction 1',
  base: hugePagesV5,
  breaks: ['K46', 'K65', 'K44'],
  change: {
    *demote(vm, gfn) {
      yield* splitUnderRead(vm, gfn);
    },
  },
});
