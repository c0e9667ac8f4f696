/** B-46: the module cannot walk below a blocked table either. */
import { TABLE, kindOfSpte } from '../../spec/kvm/spte.ts';
import { rangeBlock } from '../../spec/tdx/functions/range-block.ts';
import { demotePage } from '../blocks/resize.ts';
import { track, withoutVcpus } from '../blocks/seamcalls.ts';
import { unmapUnder, zapLeaves } from '../blocks/zap.ts';
import { exclusive } from '../policies/exclusive.ts';
import { mapping } from '../vm/vm.ts';
import { mutant } from './mutant.ts';

export default mutant({
  id: 'B-46',
  title: 'A table is blocked before its children, which can then not be removed',
  source: 'thread, message 11 ("RANGE.BLOCK to make the parent !PRESENT")',
  base: exclusive,
  breaks: ['K48'],
  change: {
    *removeTable(vm, gfn, level) {
      const first = vm.tdx.geometry.align(gfn, level);
      yield* unmapUnder(vm, first, vm.mirror.span(level), function* () {
        const place = yield* vm.mirror.walk(gfn, level);
        if (place.level === level && kindOfSpte(place.spte) === TABLE) {
          yield* withoutVcpus(vm, rangeBlock, mapping(vm, gfn, level));
          yield* track(vm);
        }
        yield* zapLeaves(vm, first, vm.mirror.span(level), demotePage);
      });
    },
  },
});
