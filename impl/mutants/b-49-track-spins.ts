/** TRACK needs the epoch, which whoever enters the TD has shared; and nobody is told to stay out. */
import { demotePage } from '../blocks/resize.ts';
import { withoutVcpus } from '../blocks/seamcalls.ts';
import { unmapUnder, zapLeaf, zapLeaves } from '../blocks/zap.ts';
import { frozenMirror } from '../frozen-mirror.ts';
import { trackSpinning } from '../retry-n.ts';
import { mutant } from './mutant.ts';

export default mutant({
  id: 'B-49',
  title: 'TRACK is repeated for as long as it is busy, with mmu_lock held for write',
  source: 'commit 4b2abc49712b (kick off VCPUs when a SEAMCALL is busy during TD page removal), which ends it',
  base: frozenMirror,
  breaks: ['K55', 'K56'],
  change: {
    *unmap(vm, gfn, pages) {
      yield* unmapUnder(vm, gfn, pages, () => zapLeaves(vm, gfn, pages, demotePage, (_vm, place, at) =>
        zapLeaf(vm, place, at, { call: withoutVcpus, track: trackSpinning })));
    },
  },
});
