/**
 * split-in-fault: huge-pages-v3 on a module whose DEMOTE needs no block (NON-BLOCKING-RESIZE). A
 * fault whose guest accepts a part of a large page splits the page with mmu_lock held for read: the
 * mirror entry is FROZEN around one DEMOTE, as around AUG. Other splits hold mmu_lock for write.
 *
 * A refused DEMOTE has changed nothing, so the entry is thawed and the fault retried. The fault
 * looks for a large page each time: without the write lock, a range that is inhibited may still be
 * mapped large by a fault that read the inhibit before (split-in-fault-early-test).
 *
 * What it breaks: modules that require the block.
 */
import { RETRY, retryLocally, throughFrozen } from '../blocks/fault.ts';
import { demoteUnder, faultLarge, splitEdges, splitFolioUnder } from '../blocks/huge-pages.ts';
import { demotePage, SPLIT_ALONE } from '../blocks/resize.ts';
import { inhibitUnderRead } from '../blocks/split-under-read.ts';
import { unmapUnder, zapLeaves } from '../blocks/zap.ts';
import type { Policy } from '../vm/policy.ts';
import { hugePagesV3 } from './huge-pages-v3.ts';

export const splitInFault: Policy = {
  ...hugePagesV3,
  name: 'split-in-fault',
  group: 'what-if',
  title: 'as huge-pages-v3, with splits that are one DEMOTE; a fault splits under the read lock',
  proposed: 'huge page series v3, patches 9 and 13, for modules with NON-BLOCKING-RESIZE',
  breaks: [
    {
      rule: 'S01',
      why: 'the module splits only what is blocked: GPA_RANGE_NOT_BLOCKED',
      versions: ['1.5.05', '1.5.01', '1.0'],
    },
  ],
  *fault(vm, vcpu, gfn, acceptLevel) {
    return yield* retryLocally(vm, vcpu, function* () {
      if (acceptLevel === 0 && !(yield* inhibitUnderRead(vm, gfn))) return RETRY;
      return yield* faultLarge(vm, gfn, acceptLevel, 'read', throughFrozen);
    });
  },
  *unmap(vm, gfn, pages) {
    yield* unmapUnder(vm, gfn, pages, function* () {
      yield* splitEdges(vm, gfn, pages, SPLIT_ALONE);
      yield* zapLeaves(vm, gfn, pages, demotePage);
    });
  },
  *demote(vm, gfn) {
    yield* demoteUnder(vm, gfn, SPLIT_ALONE);
  },
  *splitFolio(vm, gfn) {
    yield* splitFolioUnder(vm, gfn, SPLIT_ALONE);
  },
};

export default splitInFault;
