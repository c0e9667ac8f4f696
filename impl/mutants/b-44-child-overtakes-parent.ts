/**
 * B-44: a table is visible in the mirror before the module has it, and another vCPU walks through
 * it.
 */
import { faultUnder, retryLocally } from '../blocks/fault.ts';
import { frozenMirror } from '../policies/frozen-mirror.ts';
import { mirrorFirst } from '../policies/mirror-naive.ts';
import { mutant } from './mutant.ts';

export default mutant({
  id: 'B-44',
  title: 'A SEAMCALL for a child overtakes the one for its parent',
  source: 'thread, message 10 (3951e178bc38191074f5cccadc442212ff15c737.camel@intel.com)',
  base: frozenMirror,
  breaks: ['K45', 'K44'],
  change: {
    *fault(vm, vcpu, gfn) {
      return yield* retryLocally(vm, vcpu, () => faultUnder(vm, gfn, 'read', mirrorFirst));
    },
  },
});
