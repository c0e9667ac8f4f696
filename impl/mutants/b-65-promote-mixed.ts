/** B-65: PROMOTE requires all pages in one state; the blocked table is not unblocked. */
import { promoteUnder } from '../blocks/huge-pages.ts';
import { MERGE } from '../blocks/resize.ts';
import { exclusive } from '../policies/exclusive.ts';
import { mutant } from './mutant.ts';

export default mutant({
  id: 'B-65',
  title:
    'A table with pending pages is blocked for PROMOTE, and stays blocked when that is refused',
  source: 'huge page merge series for TDX, 2023; dropped in RFC v1 (2025)',
  base: exclusive,
  breaks: ['K67'],
  change: {
    *promote(vm, gfn) {
      yield* promoteUnder(vm, gfn, { ...MERGE, *unblock() {} });
    },
  },
});
