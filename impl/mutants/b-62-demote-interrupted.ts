/** B-62: DEMOTE checks for interrupts before it commits; this caller does not expect that. */
import { pageDemote } from '../../spec/tdx/functions/page-demote.ts';
import { demoteUnder, splitEdges, splitFolioUnder } from '../blocks/huge-pages.ts';
import { demotePage, SPLIT, type Resize } from '../blocks/resize.ts';
import { withoutVcpus } from '../blocks/seamcalls.ts';
import { unmapUnder, zapLeaves } from '../blocks/zap.ts';
import { hugePagesV5 } from '../policies/huge-pages-v5.ts';
import { mapping, succeeded } from '../vm/vm.ts';
import { mutant } from './mutant.ts';

const FATAL_WHEN_INTERRUPTED: Resize = {
  ...SPLIT,
  *resize(vm, gfn, external) {
    return succeeded(
      yield* withoutVcpus(vm, pageDemote, { ...mapping(vm, gfn, 1), r8: vm.address(external) }),
    );
  },
  *unblock() {},
};

export default mutant({
  id: 'B-62',
  title: 'An interrupted DEMOTE is taken for a failed one',
  source: 'huge page series for TDX, RFC v1 and v2 (2025), review; v3 refuses such modules',
  base: hugePagesV5,
  breaks: ['K66', 'K65'],
  change: {
    *unmap(vm, gfn, pages) {
      yield* unmapUnder(vm, gfn, pages, function* () {
        yield* splitEdges(vm, gfn, pages, FATAL_WHEN_INTERRUPTED);
        yield* zapLeaves(vm, gfn, pages, demotePage);
      });
    },
    *demote(vm, gfn) {
      yield* demoteUnder(vm, gfn, FATAL_WHEN_INTERRUPTED);
    },
    *splitFolio(vm, gfn) {
      yield* splitFolioUnder(vm, gfn, FATAL_WHEN_INTERRUPTED);
    },
  },
});
