/**
 * huge-pages-v5 (P14d): as huge-pages-v3, with one hook for every change of a mirror entry. A
 * change from present to present is a split: block, track with a kick, demote, each repeated once
 * without vCPUs if the module is busy; the hook requires mmu_lock held for write. Christopherson's
 * RFC v5 (28 January 2026).
 *
 * It satisfies every rule; it does not merge.
 */
import { splitEdges } from '../blocks/huge-pages.ts';
import { demotePage } from '../blocks/resize.ts';
import { unmapUnder, zapLeaves } from '../blocks/zap.ts';
import type { Policy } from '../vm/policy.ts';
import { hugePagesV3 } from './huge-pages-v3.ts';
import { zapThroughHook } from './vendor-hook.ts';

export const hugePagesV5: Policy = {
  ...hugePagesV3,
  name: 'huge-pages-v5',
  group: 'proposal',
  title: 'map, split and zap large pages through one hook',
  proposed: 'Christopherson, RFC v5, 28 Jan 2026 (P14d)',
  *unmap(vm, gfn, pages) {
    yield* unmapUnder(vm, gfn, pages, function* () {
      yield* splitEdges(vm, gfn, pages);
      yield* zapLeaves(vm, gfn, pages, demotePage, zapThroughHook);
    });
  },
};

export default hugePagesV5;
