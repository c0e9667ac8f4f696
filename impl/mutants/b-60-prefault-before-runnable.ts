/** B-60: the two words that FINALIZE publishes become visible in reverse order. */
import { TD_RUNNABLE } from '../../spec/kvm/td-vm.ts';
import { allLocks, closeBuildAlone, holding } from '../blocks/build.ts';
import { upstream619 } from '../policies/upstream-6.19.ts';
import { mutant } from './mutant.ts';

export default mutant({
  id: 'B-60',
  title: 'A pre-fault is allowed before the TD can run, and adds its page by PAGE.ADD',
  source: 'smp_wmb() in tdx_td_finalize(), smp_rmb() in tdx_sept_set_private_spte() (6.16)',
  base: upstream619,
  breaks: ['K52'],
  change: {
    *finalize(vm) {
      yield* holding(allLocks(vm), () =>
        closeBuildAlone(vm, function* ({ m, td }) {
          yield* m.write(td.preFaultAllowed, 1);
          yield* m.write(td.state, TD_RUNNABLE);
        }),
      );
    },
  },
});
