/**
 * huge-pages-v3 (P14c): faults map as large as folio and guest allow. With mmu_lock held for write
 * a large page is split when the guest accepts a part of it, after which its range is not mapped
 * large again (GUEST_INHIBIT); at the ends of a range that is zapped; and before its folio is
 * split. Nothing is merged. Version 3 of the huge page series (January 2026), which takes no
 * references to pages.
 *
 * It satisfies every rule. The series refuses modules whose DEMOTE can be interrupted (no
 * ENHANCED_DEMOTE_INTERRUPTIBILITY). The versions specified here are such modules; so a split that
 * is interrupted too often is undone, and retried after mmu_lock was dropped.
 */
import { RETRY, retryLocally, throughFrozen } from '../blocks/fault.ts';
import {
  demoteUnder,
  faultLarge,
  inhibitLarge,
  splitEdges,
  splitFolioUnder,
} from '../blocks/huge-pages.ts';
import { demotePage } from '../blocks/resize.ts';
import { unmapUnder, zapLeaves } from '../blocks/zap.ts';
import { NO_DYNAMIC_PAMT, TABLES_STAY, type Policy } from '../vm/policy.ts';
import { frozenMirror } from './frozen-mirror.ts';

export const hugePagesV3: Policy = {
  ...frozenMirror,
  name: 'huge-pages-v3',
  group: 'proposal',
  title: 'map large pages in faults, split them with mmu_lock held for write, never merge',
  proposed: 'Zhao, huge page series for TDX, v3, Jan 2026 (P14c)',
  never: [...TABLES_STAY, ...NO_DYNAMIC_PAMT],
  *fault(vm, vcpu, gfn, acceptLevel) {
    return yield* retryLocally(vm, vcpu, function* () {
      if (acceptLevel === 0 && !(yield* inhibitLarge(vm, gfn))) return RETRY;
      return yield* faultLarge(vm, gfn, acceptLevel, 'read', throughFrozen);
    });
  },
  *unmap(vm, gfn, pages) {
    yield* unmapUnder(vm, gfn, pages, function* () {
      yield* splitEdges(vm, gfn, pages);
      yield* zapLeaves(vm, gfn, pages, demotePage);
    });
  },
  *demote(vm, gfn) {
    yield* demoteUnder(vm, gfn);
  },
  *splitFolio(vm, gfn) {
    yield* splitFolioUnder(vm, gfn);
  },
};

export default hugePagesV3;
