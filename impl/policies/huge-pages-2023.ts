/**
 * huge-pages-2023 (P14a): any actor that changes a large page's entry, also a fault, splits the
 * page with mmu_lock held for read; PROMOTE merges small pages, with UNBLOCK if it is refused. The
 * huge page series of 2022 to 2024.
 *
 * What it breaks: a present entry changes while others use it, and if the split is busy half way
 * and the unblock is busy too, the page stays blocked (B-63).
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
  title: 'split large pages with mmu_lock held for read, and merge them by PROMOTE',
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
