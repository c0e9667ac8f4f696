/**
 * huge-pages-2023 (P14a): a large page is split by whoever changes its entry, also a fault, with
 * mmu_lock held for read; small pages are merged by PROMOTE, with UNBLOCK when that is refused. The
 * huge page series of 2022 to 2024.
 *
 * What it breaks: a present entry changes while others use it, and a split that is busy half way
 * leaves the page blocked when taking the block back is busy, too (B-63).
 */
import { RETRY, retryLocally, throughFrozen } from '../blocks/fault.ts';
import { faultLarge, promoteUnder } from '../blocks/huge-pages.ts';
import { splitUnderRead } from '../blocks/split-under-read.ts';
import type { Policy } from '../vm/policy.ts';
import { hugePagesV3 } from './huge-pages-v3.ts';

export const hugePages2023: Policy = {
  ...hugePagesV3,
  name: 'huge-pages-2023',
  group: 'superseded',
  title: 'large pages are split with mmu_lock held for read, and merged by PROMOTE',
  proposed: 'Yamahata, huge page series for TDX, 2022 to 2024 (P14a)',
  breaks: [
    {
      rule: 'K46',
      why: 'the mirror entry of the large page is frozen with mmu_lock held for read',
    },
  ],
  *fault(vm, vcpu, gfn, acceptLevel) {
    return yield* retryLocally(vm, vcpu, function* () {
      if (acceptLevel === 0 && !(yield* splitUnderRead(vm, gfn))) return RETRY;
      return yield* faultLarge(vm, gfn, acceptLevel, 'read', throughFrozen);
    });
  },
  *promote(vm, gfn) {
    yield* promoteUnder(vm, gfn);
  },
  *demote(vm, gfn) {
    yield* splitUnderRead(vm, gfn);
  },
};

export default hugePages2023;
