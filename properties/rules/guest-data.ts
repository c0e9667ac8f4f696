import { PAGE_BYTES } from '../../spec/machine/memory.ts';
import { MAPPED, PENDING, stateOf } from '../../spec/tdx/entry.ts';
import { VCPU_ACTIVE, VP } from '../../spec/tdx/td.ts';
import type { VmRule } from './rule.ts';

const S05: VmRule = {
  id: 'S05',
  level: 'required',
  statement: 'No vCPU uses a translation to memory that the host has taken back.',
  source: 'K22, K54; epoch notes',
  versions: ['*'],
  watch: (vm, report) => {
    vm.listeners.push({
      accessed: (vcpu, gfn, page) => {
        report.exercised();
        if (vm.guestMemory.backs(page, gfn)) return;
        report.violated(
          `vcpu${vcpu} reaches the page that backs GFN ${gfn}`,
          `page ${page}, which the host took back`,
        );
      },
      hostTouched: (page) => {
        for (const { index, tdvpr, walker } of vm.vcpus) {
          if (vm.m.peek(vm.memory.word(tdvpr, VP.STATE)) !== VCPU_ACTIVE) continue;
          if (!walker.tlb.translations.pointsTo(page)) continue;
          report.violated(`no vCPU inside the TD remembers page ${page}`, `vcpu${index} does`);
        }
      },
    });
  },
};

/** The guest does not know what a page holds: it was taken from it, or never used. */
const UNKNOWN = -2;

const S06: VmRule = {
  id: 'S06',
  level: 'required',
  statement: 'The guest finds what it wrote last, unless the host took the page from it.',
  source: 'B-53; thread, messages 15 to 17',
  versions: ['*'],
  watch: (vm, report) => {
    const { gfns } = vm.guestMemory;
    const expected = new Int32Array(gfns).fill(UNKNOWN);
    /** How many operations are taking the page at this moment. */
    const leaving = new Int32Array(gfns);
    vm.m.onReset(() => {
      expected.fill(UNKNOWN);
      leaving.fill(0);
    });
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
          report.violated(
            `vcpu${vcpu} reads ${wanted} at GFN ${gfn}, as written last`,
            String(value),
          );
        }
        if (leaving[gfn] === 0) expected[gfn] = written ?? value;
      },
    });
    vm.tdx.listeners.push({
      entryWritten: (_cell, before, after, call) => {
        if (call.in.vcpu < 0 || stateOf(before) !== PENDING || stateOf(after) !== MAPPED) return;
        const first = Math.floor(call.in.rcx / PAGE_BYTES);
        for (let gfn = first; gfn < first + vm.tdx.geometry.span(call.level); gfn++) {
          const lost = expected[gfn] ?? UNKNOWN;
          if (leaving[gfn] === 0) expected[gfn] = 0;
          if (lost <= 0) continue;
          report.violated(
            `GFN ${gfn} still holds ${lost}, as written last`,
            'it was pending again: zeroes',
          );
        }
      },
    });
  },
};

export const GUEST_DATA_RULES: readonly VmRule[] = [S05, S06];
