/**
 * B-58: no lock that a zap takes covers both halves of a population. A zap in between uncounts the
 * leaf; its PAGE.ADD then succeeds all the same, and uncounts it again.
 */
import { holding, populateUnlocked } from '../blocks/build.ts';
import { addPremapped, premap, premapThenAdd } from '../policies/premap-then-add.ts';
import { mutant } from './mutant.ts';

export default mutant({
  id: 'B-58',
  title: 'No lock protects a leaf between the mirror and PAGE.ADD: nr_premapped drops below 0',
  source: 'removed by commits 6b5b71ffabf9, af96d5452e5e, b4b2b6eda5af (6.19)',
  base: premapThenAdd,
  breaks: ['K64'],
  change: {
    *addMemory(vm, gfn) {
      yield* holding([vm.td.slotsLock], () => populateUnlocked(vm, gfn, premap, addPremapped));
    },
  },
});
