/**
 * B-86: a read fault resolves its page for reading; the Secure EPT maps the page writable, and the
 * TD owns it.
 */
import { EXIT_WRITE } from '../../spec/kvm/vcpu-exit.ts';
import { faultUnder, retryLocally, throughFrozen } from '../blocks/fault.ts';
import { upstream616 } from '../policies/upstream-6.16.ts';
import { mutant } from './mutant.ts';

export default mutant({
  id: 'B-86',
  title: 'A private read fault maps a page writable that other users can read',
  source: 'derived from Linux, tdx.c: tdx_handle_ept_violation(), which makes it a write',
  base: upstream616,
  breaks: ['K61'],
  change: {
    *fault(vm, vcpu, gfn) {
      const forWriting = ((vm.vcpus[vcpu]?.exit.flags ?? 0) & EXIT_WRITE) !== 0;
      return yield* retryLocally(vm, vcpu, () =>
        faultUnder(vm, gfn, 'read', throughFrozen, { forWriting }),
      );
    },
  },
});
