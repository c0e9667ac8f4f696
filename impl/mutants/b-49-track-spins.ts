/** TRACK needs the epoch, which whoever enters the TD has shared; and nobody is told to stay out. */
import { withoutVcpus } from '../blocks/seamcalls.ts';
import { zapLeaf, zappingBy } from '../blocks/zap.ts';
import { frozenMirror } from '../policies/frozen-mirror.ts';
import { trackSpinning } from '../policies/retry-n.ts';
import { mutant } from './mutant.ts';

export default mutant({
  id: 'B-49',
  title: 'TRACK is repeated for as long as it is busy, with mmu_lock held for write',
  source:
    'commit 4b2abc49712b (kick off vCPUs when a SEAMCALL is busy during TD page removal), which ends it',
  base: frozenMirror,
  breaks: ['K55', 'K56'],
  change: zappingBy((vm, place, gfn) =>
    zapLeaf(vm, place, gfn, { call: withoutVcpus, track: trackSpinning }),
  ),
});
