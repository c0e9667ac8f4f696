/**
 * B-54: the retry loop looks at events, signals and the VM's death, not at the memslot that waits
 * for it.
 */
import { faultUnder, hasRequests, retryLocally, throughFrozen } from '../blocks/fault.ts';
import { upstream616 } from '../policies/upstream-6.16.ts';
import { mutant } from './mutant.ts';

export default mutant({
  id: 'B-54',
  title: 'The local retry loop keeps SRCU from the deletion of its memslot: deadlock',
  source:
    'fixed by commit 2bc2694fe20b (6.18); Linux 6.16, arch/x86/kvm/vmx/tdx.c: tdx_handle_ept_violation()',
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
