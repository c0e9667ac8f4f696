/** B-48: 16 attempts against a vCPU that is inside the module. */
import { track } from '../blocks/seamcalls.ts';
import { zapLeaf, zappingBy } from '../blocks/zap.ts';
import { frozenMirror } from '../policies/frozen-mirror.ts';
import { retryBounded } from '../policies/retry-n.ts';
import { mutant } from './mutant.ts';

export default mutant({
  id: 'B-48',
  title: 'A busy SEAMCALL is repeated 16 times, and then the VM is killed',
  source: 'TDX series v8 to v19 and MMU part 2 v1/v2 (2022 to 2024): seamcall_sept()',
  base: frozenMirror,
  breaks: ['K47', 'K56'],
  change: zappingBy((vm, place, gfn) => zapLeaf(vm, place, gfn, { call: retryBounded, track })),
});
