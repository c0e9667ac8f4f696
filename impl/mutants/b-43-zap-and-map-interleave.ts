/** B-43: two changes of one entry; the order of the SEAMCALLs can differ from the mirror's. */
import { faultUnder, retryLocally } from '../blocks/fault.ts';
import { zapLeaf } from '../blocks/zap.ts';
import { frozenMirror } from '../policies/frozen-mirror.ts';
import { mirrorFirst } from '../policies/mirror-naive.ts';
import { zapUnderRead } from '../policies/retry-n-zap-under-read.ts';
import { mutant } from './mutant.ts';

export default mutant({
  id: 'B-43',
  title: 'Mirror and Secure EPT diverge if zap and map of one entry interleave',
  source: 'thread, message 3 (Y8m34OEVBfL7Q4Ns@google.com); TDX series v1 to v10',
  base: frozenMirror,
  breaks: ['K44', 'K46'],
  change: {
    *fault(vm, vcpu, gfn) {
      return yield* retryLocally(vm, vcpu, () => faultUnder(vm, gfn, 'read', mirrorFirst));
    },
    *unmap(vm, gfn, pages) {
      yield* zapUnderRead(vm, gfn, pages, zapLeaf);
    },
  },
});
