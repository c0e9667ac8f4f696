/**
 * B-58: nothing that a zap takes covers both halves of a population. Zapped in between, the leaf is
 * no longer counted; then its PAGE.ADD succeeds all the same, and it is not counted once more.
 */
import { holding, populateUnlocked } from '../blocks/build.ts';
import { addPremapped, premap, premapThenAdd } from '../policies/premap-then-add.ts';
import { mutant } from './mutant.ts';

export default mutant({
  id: 'B-58',
  title: 'nr_premapped goes below 0: no lock protects the leaf between the mirror and PAGE.ADD',
  source: 'removed by commits 6b5b71ffabf9, af96d5452e5e, b4b2b6eda5af (6.19)',
  base: premapThenAdd,
  breaks: ['K64'],
  change: {
    *addMemory(vm, gfn) {
      yield* holding([vm.td.slotsLock], () => populateUnlocked(vm, gfn, premap, addPremapped));
    },
  },
});
