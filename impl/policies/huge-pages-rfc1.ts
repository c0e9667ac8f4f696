/**
 * huge-pages-rfc1 (P14b): a large page is split with mmu_lock held for write, before a part of it
 * is zapped, but not for a fault. An interrupted split is restarted without bound. Nothing is
 * merged. RFC v1 of the huge page series (April 2025).
 *
 * What it breaks: a guest that accepts 4 KiB of a large page faults; KVM finds the page mapped, and
 * the guest faults again, for ever (B-64). And a source of interrupts can keep mmu_lock held
 * without bound (B-62).
 */
import { pageDemote } from '../../spec/tdx/functions/page-demote.ts';
import { INTERRUPTED_RESTARTABLE } from '../../spec/tdx/status.ts';
import { retryLocally, throughFrozen } from '../blocks/fault.ts';
import { demoteUnder, faultLarge, splitEdges, splitFolioUnder } from '../blocks/huge-pages.ts';
import { demotePage, SPLIT, type Resize } from '../blocks/resize.ts';
import { withoutVcpus } from '../blocks/seamcalls.ts';
import { unmapUnder, zapLeaves } from '../blocks/zap.ts';
import type { Policy } from '../vm/policy.ts';
import { isStatus, mapping } from '../vm/vm.ts';
import { hugePagesV3 } from './huge-pages-v3.ts';

/** A split that restarts as long as it is interrupted. */
const UNBOUNDED: Resize = {
  ...SPLIT,
  *resize(vm, gfn, external) {
    const operands = { ...mapping(vm, gfn, 1), r8: vm.address(external) };
    while (
      isStatus(
        yield* withoutVcpus(vm, pageDemote, operands, [INTERRUPTED_RESTARTABLE]),
        INTERRUPTED_RESTARTABLE,
      )
    );
    return true;
  },
};

export const hugePagesRfc1: Policy = {
  ...hugePagesV3,
  name: 'huge-pages-rfc1',
  group: 'superseded',
  title: 'split a large page before a zap of a part, not for a fault, and restart without bound',
  proposed: 'Zhao, huge page series for TDX, RFC v1, Apr 2025 (P14b)',
  breaks: [
    { rule: 'K67', why: 'a guest that accepts a part of a large page faults for ever' },
    {
      rule: 'K66',
      versions: ['1.5'], // no interrupt ends a split in 1.0
      rare: true,
      why: 'mmu_lock stays held for as long as a split is interrupted',
    },
  ],
  *fault(vm, vcpu, gfn, acceptLevel) {
    return yield* retryLocally(vm, vcpu, () =>
      faultLarge(vm, gfn, acceptLevel, 'read', throughFrozen),
    );
  },
  *unmap(vm, gfn, pages) {
    yield* unmapUnder(vm, gfn, pages, function* () {
      yield* splitEdges(vm, gfn, pages, UNBOUNDED);
      yield* zapLeaves(vm, gfn, pages, demotePage);
    });
  },
  *demote(vm, gfn) {
    yield* demoteUnder(vm, gfn, UNBOUNDED);
  },
  *splitFolio(vm, gfn) {
    yield* splitFolioUnder(vm, gfn, UNBOUNDED);
  },
};

export default hugePagesRfc1;
