/** B-67: other actors empty the cache between the check and the use. */
import { VM_CACHE } from '../../spec/kvm/pamt-caches.ts';
import {
  COVERED_SPLIT,
  dynamicPamt,
  PAMT_PAGES_OF_SPLIT,
  getPagesForSplit,
  pamtEntryPoints,
  splitCovered,
} from '../policies/dynamic-pamt.ts';
import { mutant } from './mutant.ts';

export default mutant({
  id: 'B-67',
  title: "PAMT pages are counted in one section of the cache's lock and taken in another",
  source: 'dynamic PAMT series v3 to v6; huge page RFC v2, thread',
  base: dynamicPamt,
  breaks: ['K68'],
  change: pamtEntryPoints({
    ...COVERED_SPLIT,
    *prepare(vm) {
      while ((yield* vm.pamt.available(VM_CACHE)) < PAMT_PAGES_OF_SPLIT)
        yield* vm.pamt.topUp(VM_CACHE);
    },
    *resize(vm, gfn, external) {
      yield* vm.pamt.lock.lock();
      const taken = yield* getPagesForSplit(vm, gfn, external);
      yield* vm.pamt.lock.unlock();
      return taken !== null && (yield* splitCovered(vm, gfn, external, taken));
    },
  }),
});
