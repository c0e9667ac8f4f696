/**
 * B-54: the retry loop checks events, signals and the VM's death, but not its memslot, whose
 * deletion waits for the loop's SRCU section.
 */
import { faultUnder, hasRequests, retryLocally, throughFrozen } from '../blocks/fault.ts';
import { upstream616 } from '../policies/upstream-6.16.ts';
import { mutant } from './mutant.ts';

export default mutant({
  id: 'B-54',
  title: 'The local retry loop and the deletion of its memslot deadlock',
  source: 'fixed by commit 2bc2694fe20b (6.18); Linux 6.16, tdx.c: tdx_handle_ept_violation()',
  base: upstream616,
  breaks: ['K42', 'K58'],
  change: {
    *fault(vm, vcpu, gfn) {
      return yield* retryLocally(
        vm,
        vcpu,
        () => faultUnder(vm, gfn, 'read', throughFrozen),
        hasRequests,
      );
    },
  },
});
