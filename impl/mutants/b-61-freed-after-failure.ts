/** B-61: a page's removal failed and the VM is killed, but the page is returned to the host. */
import { EMPTY } from '../../spec/kvm/spte.ts';
import type { SptePlace } from '../../spec/kvm/tables.ts';
import type { Steps } from '../../spec/machine/step.ts';
import { pageRemove } from '../../spec/tdx/functions/page-remove.ts';
import { rangeBlock } from '../../spec/tdx/functions/range-block.ts';
import { demotePage } from '../blocks/resize.ts';
import { track, withoutVcpus } from '../blocks/seamcalls.ts';
import { unmapUnder, zapLeaves } from '../blocks/zap.ts';
import { upstream616 } from '../policies/upstream-6.16.ts';
import { mapping, succeeded, type Vm } from '../vm/vm.ts';
import { mutant } from './mutant.ts';

function* zapWithoutLeak(vm: Vm, place: SptePlace, gfn: number): Steps<void> {
  yield* vm.mirror.write(place.table, place.index, EMPTY);
  yield* withoutVcpus(vm, rangeBlock, mapping(vm, gfn, place.level));
  yield* track(vm);
  if (!succeeded(yield* withoutVcpus(vm, pageRemove, mapping(vm, gfn, place.level))))
    yield* vm.kill();
}

export default mutant({
  id: 'B-61',
  title: 'A page whose removal failed is freed while the module owns it',
  source: 'commit 24adff397052 and "Drop superfluous page pinning in S-EPT management" (6.19)',
  base: upstream616,
  breaks: ['K51', 'K47'],
  change: {
    *unmap(vm, gfn, pages) {
      yield* unmapUnder(vm, gfn, pages, () =>
        zapLeaves(vm, gfn, pages, demotePage, zapWithoutLeak),
      );
    },
  },
});
