/**
 * dynamic-pamt (P15): huge-pages-v3 on a module that keeps metadata of small pages in pairs of PAMT
 * pages that KVM provides. KVM counts a page before it gives it to the module, and has the pair of
 * its range added first if there is none: from the running vCPU's cache for a fault, from the VM's
 * cache, under its lock, for a split. It ends the count if the module refuses the page, and when
 * the module returns the page; the last one of a range removes the pair. DEMOTE itself takes a pair
 * for the range that it splits. Caches are filled before mmu_lock is taken. Dynamic PAMT series v6,
 * patches 6 and 9/11 (May 2026); huge page series v3, patches 22 and 23 (Jan 2026).
 *
 * On a module without the feature there are no calls, and the pages are only counted.
 *
 * It satisfies every rule: a split checks and takes what it needs in one section of the cache's
 * lock, and a table's page is put as soon as the module has returned it, not in an RCU callback.
 */
import { VM_CACHE, type PamtCache, type PamtPair } from '../../spec/kvm/pamt-caches.ts';
import { kindOfSpte, LEAF, pageOfSpte } from '../../spec/kvm/spte.ts';
import { PAGE_BYTES } from '../../spec/machine/memory.ts';
import { NO_PAGE, pageNumberOf } from '../../spec/machine/pages.ts';
import type { Steps } from '../../spec/machine/step.ts';
import { faultUnder, RETRY, retryLocally, throughFrozen, type Install } from '../blocks/fault.ts';
import {
  demoteUnder,
  faultLarge,
  inhibitLarge,
  splitEdges,
  splitFolioUnder,
} from '../blocks/huge-pages.ts';
import { addressesOf, pairAt } from '../blocks/pamt.ts';
import { demoteInto, demotePage, MERGE, promoteAt, SPLIT, type Resize } from '../blocks/resize.ts';
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
import { succeeded, type Vm } from '../vm/vm.ts';
import { hugePagesV3 } from './huge-pages-v3.ts';

/** Counts `page`, with a pair for its range; false if there is none. */
export type GetPamt = (vm: Vm, page: number, cache: PamtCache) => Steps<boolean>;

const getPamt: GetPamt = (vm, page, cache) => vm.pamt.get(page, cache);

/** The frozen window; a small page or a table gets its PAMT pages from `cache` first. */
export const coveredFrom = (cache: PamtCache, get = getPamt): Install =>
  function* (vm, change) {
    const small = change.place.level === 0 || kindOfSpte(change.to) !== LEAF;
    const page = (change.operands.r8 ?? 0) / PAGE_BYTES - vm.tdx.platform.tdmrBase;
    if (small && !(yield* get(vm, page, cache))) return false;
    const done = yield* throughFrozen(vm, change);
    if (small && !done) yield* vm.pamt.put(page);
    return done;
  };

/** Largest number of pairs that a split takes: for the table, and for the range. */
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
    const taken = enough ? yield* getPagesForSplit(vm, gfn, external) : null;
    yield* vm.pamt.lock.unlock();
    return taken !== null && (yield* splitCovered(vm, gfn, external, taken));
  },
};

/** A merge: the module returns the pair of the range, and the page of the table. */
export const COVERED_MERGE: Resize = {
  ...MERGE,
  *resize(vm, gfn) {
    const { spte } = yield* vm.mirror.walk(gfn, 1);
    const table = pageOfSpte(spte);
    const first = pageOfSpte(yield* vm.mirror.read(table, 0));
    const call = yield* promoteAt(vm, gfn);
    if (!succeeded(call)) return false;
    yield* vm.pamt.uncountRange(first);
    if (call.returnedPair !== null) yield* vm.pamt.freePair(pairAt(vm, call.returnedPair));
    yield* vm.pamt.put(pageNumberOf(vm.mirror.externalOf(table)));
    return true;
  },
};

/**
 * Gets the PAMT pages of a split: for its table and its range. The caller holds the cache's lock.
 * Returns the pair of the range; null if a cache was empty.
 */
export function* getPagesForSplit(vm: Vm, gfn: number, external: number): Steps<PamtPair | null> {
  const parts = yield* partsOf(vm, gfn);
  const isCovered = yield* vm.pamt.get(external, VM_CACHE);
  if (vm.pamt.calls === null) {
    for (const page of parts) yield* vm.pamt.get(page, VM_CACHE);
    return COUNTED;
  }
  if (!isCovered) return null;
  const pair = yield* vm.pamt.takePair(VM_CACHE);
  if (pair === null) yield* vm.pamt.put(external);
  return pair;
}

/** The pair of a range whose pages are counted, and which no call names. */
const COUNTED: PamtPair = [NO_PAGE, NO_PAGE];

/** Splits, and puts the split's PAMT pages back if that fails. */
export function* splitCovered(
  vm: Vm,
  gfn: number,
  external: number,
  pair: PamtPair,
): Steps<boolean> {
  const parts = yield* partsOf(vm, gfn);
  if (vm.pamt.calls === null) {
    if (yield* SPLIT.resize(vm, gfn, external)) return true;
    for (const page of [external, ...parts]) yield* vm.pamt.put(page);
    return false;
  }
  const [r12, r13] = addressesOf(vm, pair);
  if (yield* demoteInto(vm, gfn, external, { r12, r13 })) {
    yield* vm.pamt.countRange(parts[0] ?? 0);
    return true;
  }
  yield* vm.pamt.freePair(pair);
  yield* vm.pamt.put(external);
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

/** Entry points that may split large pages; a fault counts its pages by `get`. */
export const pamtEntryPoints = (
  split: Resize,
  get = getPamt,
): Pick<Policy, 'fault' | 'unmap' | 'demote' | 'splitFolio'> => ({
  *fault(vm, vcpu, gfn, acceptLevel) {
    return yield* retryLocally(vm, vcpu, function* () {
      if (acceptLevel === 0 && !(yield* inhibitLarge(vm, gfn, split))) return RETRY;
      if (!(yield* vm.pamt.topUp(vcpu))) return RETRY;
      return yield* faultLarge(vm, gfn, acceptLevel, 'read', coveredFrom(vcpu, get));
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
    yield* vm.pamt.drain();
  },
};

export default dynamicPamt;
