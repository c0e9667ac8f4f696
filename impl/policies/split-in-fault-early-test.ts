/**
 * split-in-fault-early-test: split-in-fault, whose fault tests the inhibit of the range before it
 * takes mmu_lock, and looks for a large page only if the range is not inhibited yet. So does
 * version 3 of the huge page series, where the split and the inhibit hold mmu_lock for write.
 *
 * What it breaks: with mmu_lock held for read, another fault may have read the inhibit before it
 * was set, and maps the range large afterwards. No fault splits that page any more, and a guest
 * that accepts a part of it faults for ever.
 */
import { RETRY, retryLocally, throughFrozen } from '../blocks/fault.ts';
import { faultLarge } from '../blocks/huge-pages.ts';
import { inhibitUnderRead } from '../blocks/split-under-read.ts';
import type { Policy } from '../vm/policy.ts';
import { splitInFault } from './split-in-fault.ts';

export const splitInFaultEarlyTest: Policy = {
  ...splitInFault,
  name: 'split-in-fault-early-test',
  title: 'as split-in-fault, but a fault skips the split if the range is inhibited already',
  breaks: [
    ...splitInFault.breaks,
    {
      rule: 'K67',
      rare: true,
      versions: ['demote-without-block', 'one-call-split'],
      why: 'a fault that read the inhibit before maps large, and no fault splits that again',
    },
  ],
  *fault(vm, vcpu, gfn, acceptLevel) {
    return yield* retryLocally(vm, vcpu, function* () {
      const isSmall = acceptLevel !== 0 || (yield* vm.largePages.isInhibited(gfn));
      if (!isSmall && !(yield* inhibitUnderRead(vm, gfn))) return RETRY;
      return yield* faultLarge(vm, gfn, acceptLevel, 'read', throughFrozen);
    });
  },
};

export default splitInFaultEarlyTest;
