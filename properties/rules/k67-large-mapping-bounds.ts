import type { Vm } from '../../impl/vm/vm.ts';
import { describeSpte, isPresent, kindOfSpte, LEAF, type Spte } from '../../spec/kvm/spte.ts';
import { entryAt } from '../../spec/machine/levels.ts';
import type { Reporter } from '../../spec/machine/monitor.ts';
import { isLeaf, isPending } from '../../spec/tdx/entry.ts';
import type { VmRule } from './rule.ts';
import { watchBlocked } from './state/blocked-entries.ts';
import { isLinked, septAt, spteAt, UNREACHED } from './state/entries.ts';
import { gfnOfKey, keyOfPlace, nameOfKey } from './state/entry-keys.ts';
import { numbersPerRun } from './state/numbers-per-run.ts';

export default {
  id: 'K67',
  level: 'required',
  statement:
    'A large mapping is no larger than the folio behind it, the range being zapped, or the size ' +
    'the guest accepts; and a table whose merge fails does not stay blocked.',
  source:
    'huge page series v3 (Jan 2026), cover, section 5; guest_memfd: zap before the folio is split',
  intent: "Zapping more than was asked removes accepted pages, and the guest's data with them.",
  hint:
    'Check that a large mapping is split at the bounds of the zap, before its folio, and at ' +
    'ACCEPT.',
  versions: ['*'],
  watch: (vm, report) => {
    watchMirror(vm, report);
    watchFolios(vm, report);
    watchAccepts(vm, report);
    watchBlocked(vm, 'table', (entry, seen) =>
      report.violated(
        `table ${entry}, which the mirror maps, unblocked before mmu_lock is released`,
        seen,
      ),
    );
  },
} satisfies VmRule;

/** Large leaves that are installed over a split folio, or zapped for a part of them. */
function watchMirror(vm: Vm, report: Reporter): void {
  const { folios } = vm.guestMemory;
  /** Per actor: the range that its operation zaps, as first GFN and count. */
  const zapping = new Map<number, readonly [gfn: number, pages: number]>();
  vm.m.clearOnReset(zapping);
  vm.mirror.listeners.push((table, index, before, after) => {
    if (vm.mirror.levelOf(table) === 0 || !isLinked(vm, table)) return;
    const key = keyOfPlace(vm, table, index);
    const gfn = gfnOfKey(key);
    if (isLargeLeaf(after)) {
      report.exercised();
      if (!folios.isLarge(gfn))
        report.violated(
          `one folio behind ${nameOfKey(key)}, which is mapped large`,
          'the folio is split',
        );
    } else if (isLargeLeaf(before) && !isPresent(after)) {
      const range = zapping.get(vm.m.current);
      if (range === undefined) return;
      const [first, pages] = range;
      if (first <= gfn && gfn + folios.span <= first + pages) return;
      report.violated(
        `${describeSpte(before)} at ${nameOfKey(key)} split before a part of it is zapped`,
        `all of it is zapped for ${pages} pages from GFN ${first} on`,
      );
    }
  });
  vm.listeners.push({
    unmapBegan: (gfn, pages) => zapping.set(vm.m.current, [gfn, pages]),
    unmapReturned: () => zapping.delete(vm.m.current),
  });
}

/** Folios that are split under a large mapping. */
function watchFolios(vm: Vm, report: Reporter): void {
  vm.guestMemory.folios.listeners.push((gfn) => {
    report.exercised();
    const spte = spteAt(vm, gfn, 1);
    if (spte === UNREACHED || !isLargeLeaf(spte)) return;
    report.violated(
      `the mapping of ${entryAt(gfn, 1)} split before its folio is`,
      describeSpte(spte),
    );
  });
}

/** Guests that accept a part of a large page, and are resumed with nothing changed. */
function watchAccepts(vm: Vm, report: Reporter): void {
  /** Per vCPU: consecutive resumptions at an ACCEPT that is smaller than the mapping. */
  const resumed = numbersPerRun(vm.m, vm.vcpus.length);
  vm.listeners.push({
    faultEnded: (vcpu, gfn, acceptLevel, mayRetry) => {
      const isStuck = acceptLevel === 0 && mayRetry && isPendingLargePage(vm, gfn);
      const times = isStuck ? (resumed[vcpu] ?? 0) + 1 : 0;
      resumed[vcpu] = times;
      if (acceptLevel === 0) report.exercised();
      if (times < vm.tdx.platform.steppingThreshold) return;
      report.violated(
        `page ${entryAt(gfn, 1)} split where vcpu${vcpu} accepts ${entryAt(gfn, 0)}`,
        'the vCPU is resumed with the large page again',
      );
    },
  });
}

const isLargeLeaf = (spte: Spte): boolean => kindOfSpte(spte) === LEAF;

/** The Secure EPT has a large page at `gfn` that the guest has not accepted. */
function isPendingLargePage(vm: Vm, gfn: number): boolean {
  const entry = septAt(vm, gfn, 1);
  return entry !== UNREACHED && isLeaf(entry) && isPending(entry);
}
