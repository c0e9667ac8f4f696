/** B-88: the first page to leave the range takes the PAMT pages of the others with it. */
import {
  COVERED_SPLIT,
  dynamicPamt,
  pamtEntryPoints,
  type GetPamt,
} from '../policies/dynamic-pamt.ts';
import { mutant } from './mutant.ts';

const getUnlessCovered: GetPamt = function* (vm, page, cache) {
  return (yield* vm.pamt.isUsed(page)) || (yield* vm.pamt.get(page, cache));
};

export default mutant({
  id: 'B-88',
  title: 'A page whose range has its PAMT pages already is not counted',
  source:
    'dynamic PAMT series v3, patch 7 (20250918232224.2202592-8-rick.p.edgecombe@intel.com), and ' +
    'its review: 1f25ef49-fb7f-449c-be1d-71c19465219f@intel.com',
  base: dynamicPamt,
  breaks: ['K68'],
  change: pamtEntryPoints(COVERED_SPLIT, getUnlessCovered),
});
