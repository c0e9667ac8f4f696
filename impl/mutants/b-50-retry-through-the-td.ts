/**
 * B-50: a fault to be retried re-enters the TD first. Six violations at one RIP arm zero-step
 * mitigation, and the next TDH.VP.ENTER takes the tree lock exclusively.
 */
import { faultUnder, NO_SLOT, throughFrozen } from '../blocks/fault.ts';
import { upstream616 } from '../policies/upstream-6.16.ts';
import { mutant } from './mutant.ts';

export default mutant({
  id: 'B-50',
  title: 'A fault is retried through the TD, which counts towards zero-step mitigation',
  source: 'fixed by commit b0327bb2e7e0 (6.16); Zw/KElXSOf1xqLE7@yzhao56-desk.sh.intel.com',
  base: upstream616,
  breaks: ['K58', 'K53'],
  change: {
    *fault(vm, _vcpu, gfn) {
      return (yield* faultUnder(vm, gfn, 'read', throughFrozen)) !== NO_SLOT;
    },
  },
});
