/** B-58: what is removed before its PAGE.ADD stays counted, so that the count and the mirror tell two stories. */
import type { Steps } from '../../spec/machine/step.ts';
import type { SptePlace } from '../../spec/kvm/tables.ts';
import { premapThenAdd, takingAway, zapPremapped } from '../premap-then-add.ts';
import type { Vm } from '../vm.ts';
import { mutant } from './mutant.ts';

function* zapUncounted(vm: Vm, place: SptePlace, gfn: number): Steps<void> {
  const before = vm.m.peek(vm.td.nrPremapped);
  yield* zapPremapped(vm, place, gfn);
  yield* vm.m.write(vm.td.nrPremapped, before);
}

export default mutant({
  id: 'B-58',
  title: 'nr_premapped counts a leaf that is gone: no lock protects the count',
  source: 'removed by commits 6b5b71ffabf9, af96d5452e5e, b4b2b6eda5af (6.19)',
  base: premapThenAdd,
  breaks: ['K64'],
  change: takingAway(zapUncounted),
});
