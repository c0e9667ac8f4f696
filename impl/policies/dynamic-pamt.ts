/**
 * dynamic-pamt (P15): huge-pages-v3 on a module that keeps metadata of small pages in PAMT pages
 * that KVM provides. KVM gets one before it gives a page to the module: from the running vCPU's
 * cache for a fault, from the VM's cache, under its lock, for a split. KVM puts it back if the
 * module refuses the page, and when the module returns the page. Caches are filled before mmu_lock
 * is taken. Dynamic PAMT series v6, patch 9/11 (May 2026).
 *
 * It satisfies every rule: a split checks and takes what it needs in one section of the cache's
 * lock, and a table's page is put back as soon as the module has returned it, not in an RCU
 * callback.
 */
import { VM_CACHE, type PamtCache } from '../../spec/kvm/dynamic-pamt.ts';
import { kindOfSpte, LEAF, pageOfSpte } from '../../spec/kvm/spte.ts';
import { PAGE_BYTES } from '../../spec/machine/memory.ts';
import type { Steps } from '../../spec/machine/step.ts';
import { faultUnder, RETRY, retryLocally, throughFrozen, type Install } from '../blocks/fault.ts';
import {
  demoteUnder,
  faultLarge,
  inhibitLarge,
  splitEdges,
  splitFolioUnder,
} from '../blocks/huge-pages.ts';
import { demotePage, SPLIT, type Resize } from '../blocks/resize.ts';
import { releaseTd } from '../blocks/teardown.ts';
import {
  removeSlotUnder,
  unmapUnder,
  zapAll,
  zapLeaf,
  zapLeaves,
  type ZapLeaf,
} from '../blocks/zap.ts';
import { TABLES_STAY, type Policy } from '../vm/policy.ts';
import type { Vm } from '../vm/vm.ts';
import { hugePagesV3 } from './huge-pages-v3.ts';

/** The frozen window; a small page or a table gets its PAMT page from `cache` first. */
export const coveredFrom = (cache: PamtCache): Install =>
  function* (vm, change) {
    const small = change.place.level === 0 || kindOfSpte(change.to) !== LEAF;
    const page = (change.operands.r8 ?? 0) / PAGE_BYTES - vm.tdx.platform.tdmrBase;
    if (small && !(yield* vm.pamt.get(page, cache))) return false;
    const done = yield* throughFrozen(vm, change);
    if (small && !done) yield* vm.pamt.put(page);
    return done;
  };

/** Largest number of PAMT pages that a split takes: for the table, and for the range. */
export const PAMT_PAGES_OF_SPLIT = 2;

/**
 * A split with PAMT pages from the VM's cache, which it checks and takes in one section of the
 * lock.
 */
export const COVERED_SPLIT: Resize = {
  ...SPLIT,
  *prepare(vm) {
    yield* vm.pamt.topUp(VM_CACHE);
  },
  *resize(vm, gfn, external) {
    yield* vm.pamt.lock.lock();
    const enough = (yield* vm.pamt.available(VM_CACHE)) >= PAMT_PAGES_OF_SPLIT;
    if (enough) yield* getPagesForSplit(vm, gfn, external);
    yield* vm.pamt.lock.unlock();
    return enough && (yield* splitCovered(vm, gfn, external));
  },
};

/**
 * Gets the PAMT pages of a split: for its small pages and its table. The caller holds the cache's
 * lock.
 */
export function* getPagesForSplit(vm: Vm, gfn: number, external: number): Steps<void> {
  for (const page of [external, ...(yield* partsOf(vm, gfn))]) yield* vm.pamt.get(page, VM_CACHE);
}

/** Splits, and puts the split's PAMT pages back if that fails. */
export function* splitCovered(vm: Vm, gfn: number, external: number): Steps<boolean> {
  const parts = yield* partsOf(vm, gfn);
  if (yield* SPLIT.resize(vm, gfn, external)) return true;
  for (const page of [external, ...parts]) yield* vm.pamt.put(page);
  return false;
}

/** The small pages of the large page that maps `gfn`. */
function* partsOf(vm: Vm, gfn: number): Steps<number[]> {
  const { spte } = yield* vm.mirror.walk(gfn, 1);
  return Array.from({ length: vm.mirror.span(1) }, (_, i) => pageOfSpte(spte) + i);
}

/** Zaps a leaf and puts its PAMT page back; a large page has none. */
const zapCovered: ZapLeaf = function* (vm, place, gfn) {
  yield* zapLeaf(vm, place, gfn);
  if (place.level === 0 && !vm.td.isDead()) yield* vm.pamt.put(pageOfSpte(place.spte));
};

/** Entry points that may split large pages. */
export const pamtEntryPoints = (
  split: Resize,
): Pick<Policy, 'fault' | 'unmap' | 'demote' | 'splitFolio'> => ({
  *fault(vm, vcpu, gfn, acceptLevel) {
    return yield* retryLocally(vm, vcpu, function* () {
      if (acceptLevel === 0 && !(yield* inhibitLarge(vm, gfn, split))) return RETRY;
      if (!(yield* vm.pamt.topUp(vcpu))) return RETRY;
      return yield* faultLarge(vm, gfn, acceptLevel, 'read', coveredFrom(vcpu));
    });
  },
  *unmap(vm, gfn, pages) {
    if (split.prepare !== undefined) yield* split.prepare(vm);
    yield* unmapUnder(vm, gfn, pages, function* () {
      yield* splitEdges(vm, gfn, pages, split);
      yield* zapLeaves(vm, gfn, pages, demotePage, zapCovered);
    });
  },
  *demote(vm, gfn) {
    yield* demoteUnder(vm, gfn, split);
  },
  *splitFolio(vm, gfn) {
    yield* splitFolioUnder(vm, gfn, split);
  },
});

export const dynamicPamt: Policy = {
  ...hugePagesV3,
  ...pamtEntryPoints(COVERED_SPLIT),
  name: 'dynamic-pamt',
  group: 'proposal',
  title: 'large pages as in huge-pages-v3, with PAMT pages from caches of vCPU and VM',
  proposed: 'dynamic PAMT series v6, May 2026 (P15)',
  never: TABLES_STAY,
  dynamicPamt: true,
  *populate(vm) {
    yield* vm.pamt.topUp(VM_CACHE);
    yield* faultUnder(vm, vm.sizes.armedGfn, 'read', coveredFrom(VM_CACHE));
  },
  *removeSlot(vm) {
    yield* removeSlotUnder(vm, () => zapLeaves(vm, 0, vm.td.slotPages, demotePage, zapCovered));
  },
  *destroy(vm) {
    yield* zapAll(vm, demotePage, zapCovered);
    yield* releaseTd(vm, (page) => vm.pamt.put(page));
  },
};

export default dynamicPamt;
