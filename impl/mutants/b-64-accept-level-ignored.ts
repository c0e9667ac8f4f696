/** A guest that accepts 4 KiB of a large page is told that the page is there. */
import { retryLocally, throughFrozen } from '../blocks/fault.ts';
import { faultLarge } from '../blocks/huge-pages.ts';
import { hugePagesV5 } from '../policies/huge-pages-v5.ts';
import { mutant } from './mutant.ts';

export default mutant({
  id: 'B-64',
  title: 'the level at which the guest accepts is ignored: it faults for ever',
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
