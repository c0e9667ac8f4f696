/**
 * B-68: the protocol of series v5 and v6, a kick and then TRACK, without the flag on which kicked
 * vCPUs waited.
 */
import { memTrack } from '../../spec/tdx/functions/mem-track.ts';
import { demotePage } from '../blocks/resize.ts';
import { kickAll, withoutVcpus } from '../blocks/seamcalls.ts';
import { unmapUnder, zapLeaf, zapLeaves, type Zap } from '../blocks/zap.ts';
import { upstream616 } from '../policies/upstream-6.16.ts';
import { mutant } from './mutant.ts';

const KICK_THEN_TRACK: Zap = {
  call: withoutVcpus,
  *track(vm) {
    yield* kickAll(vm);
    yield* withoutVcpus(vm, memTrack, { rcx: vm.address(vm.tdr) });
  },
};

export default mutant({
  id: 'B-68',
  title: 'vCPUs are kicked before TRACK, and one re-enters in the old epoch before PAGE.REMOVE',
  source: 'TDX series v5 and v6: tdx_sept_tlb_remote_flush(), without its spin flag',
  base: upstream616,
  breaks: ['K54', 'K55'],
  change: {
    *unmap(vm, gfn, pages) {
      yield* unmapUnder(vm, gfn, pages, () =>
        zapLeaves(vm, gfn, pages, demotePage, (v, place, at) =>
          zapLeaf(v, place, at, KICK_THEN_TRACK),
        ),
      );
    },
  },
});
