import { MAPPED, PENDING, stateOf } from '../../spec/tdx/entry.ts';
import type { VmRule } from './rule.ts';
import { gfnOfCall } from './state/entry-keys.ts';
import { numbersPerRun } from './state/numbers-per-run.ts';

/** The contents of the page are undefined for the guest: it was reclaimed, or never used. */
const UNKNOWN = -2;

export default {
  id: 'S06',
  level: 'required',
  statement: 'A guest reads what it last wrote, unless the host reclaimed the page.',
  source: 'thread, messages 15 and 16; B-53',
  intent: 'A private page that is removed and added again is zeroed: the guest loses its data.',
  hint:
    'Look for a zap that removes more than was asked: a table instead of leaves, a large page ' +
    'for a part of it, or another memslot.',
  versions: ['*'],
  watch: (vm, report) => {
    const { gfns } = vm.guestMemory;
    const expected = new Int32Array(gfns).fill(UNKNOWN);
    vm.m.onReset(() => expected.fill(UNKNOWN));
    /** Per GFN: number of operations that are reclaiming its page at this moment. */
    const leaving = numbersPerRun(vm.m, gfns);
    const count = (gfn: number, pages: number, change: 1 | -1): void => {
      expected.fill(UNKNOWN, gfn, gfn + pages);
      for (let at = gfn; at < gfn + pages; at++) leaving[at] = (leaving[at] ?? 0) + change;
    };
    vm.listeners.push({
      unmapBegan: (gfn, pages) => count(gfn, pages, 1),
      unmapReturned: (gfn, pages) => count(gfn, pages, -1),
      slotRemovalBegan: (gfn, pages) => count(gfn, pages, 1),
      slotRemoved: (gfn, pages) => count(gfn, pages, -1),
      accessed: (vcpu, gfn, _page, value, written) => {
        const wanted = expected[gfn] ?? UNKNOWN;
        if (wanted !== UNKNOWN) report.exercised();
        if (wanted !== UNKNOWN && wanted !== value) {
          report.violated(`vcpu${vcpu} reads ${wanted} at GFN ${gfn}, as last written`, `${value}`);
        }
        if (leaving[gfn] === 0) expected[gfn] = written ?? value;
      },
    });
    vm.tdx.listeners.push({
      entryWritten: (_cell, before, after, call) => {
        if (call.in.vcpu < 0 || stateOf(before) !== PENDING || stateOf(after) !== MAPPED) return;
        const first = gfnOfCall(call);
        for (let gfn = first; gfn < first + vm.tdx.geometry.span(call.level); gfn++) {
          const lost = expected[gfn] ?? UNKNOWN;
          if (leaving[gfn] === 0) expected[gfn] = 0;
          if (lost <= 0) continue;
          report.violated(
            `GFN ${gfn} still holds ${lost}, as last written`,
            'the page was pending again, and is zeroed',
          );
        }
      },
    });
  },
} satisfies VmRule;
