/** B-64: a guest accepts 4 KiB of a large page, and KVM finds the page mapped. */
import { retryLocally, throughFrozen } from '../blocks/fault.ts';
import { faultLarge } from '../blocks/huge-pages.ts';
import { hugePagesV5 } from '../policies/huge-pages-v5.ts';
import { mutant } from './mutant.ts';

export default mutant({
  id: 'B-64',
  title: 'The level at which the guest accepts is ignored, and the guest faults for ever',
  source: 'huge page series for TDX, v3 (Jan 2026), cover, section 5',
  base: hugePagesV5,
  breaks: ['K67', 'K60'],
  change: {
    *fault(vm, vcpu, gfn, acceptLevel) {
      return yield* retryLocally(vm, vcpu, () =>
        faultLarge(vm, gfn, acceptLevel, 'read', throughFrozen),
      );
    },
  },
});
