/** B-49: TRACK needs the epoch lock, which a vCPU that enters the TD shares; none is kicked. */
import { withoutVcpus } from '../blocks/seamcalls.ts';
import { zapLeaf, zappingBy } from '../blocks/zap.ts';
import { frozenMirror } from '../policies/frozen-mirror.ts';
import { trackSpinning } from '../policies/retry-n.ts';
import { mutant } from './mutant.ts';

export default mutant({
  id: 'B-49',
  title: 'TRACK is repeated as long as it is busy, with mmu_lock held for write',
  source: 'fixed by commit 4b2abc49712b (kick vCPUs when a SEAMCALL is busy during page removal)',
  base: frozenMirror,
  breaks: ['K55', 'K56'],
  change: zappingBy((vm, place, gfn) =>
    zapLeaf(vm, place, gfn, { call: withoutVcpus, track: trackSpinning }),
  ),
});
