/**
 * B-55: KVM takes a violation on a page that is mapped but not accepted for spurious, although no
 * #VE will make the guest accept it.
 */
import { faultUnder, isWanted, retryUntil, throughFrozen } from '../blocks/fault.ts';
import { upstream616 } from '../policies/upstream-6.16.ts';
import { mutant } from './mutant.ts';

export default mutant({
  id: 'B-55',
  title: 'A guest that accesses a pending page with #VE disabled faults for ever',
  source: 'fixed by "Detect unexpected SEPT violations due to pending SPTEs" (6.16)',
  base: upstream616,
  breaks: ['K60'],
  change: {
    *fault(vm, vcpu, gfn) {
      return yield* retryUntil(
        vm,
        vcpu,
        () => faultUnder(vm, gfn, 'read', throughFrozen),
        isWanted,
      );
    },
  },
});
