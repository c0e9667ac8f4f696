import type { VmRule } from './rule.ts';
import { isInsideTd } from './state/td-state.ts';

export default {
  id: 'S05',
  level: 'required',
  statement: 'No vCPU uses a translation to memory that the host has reclaimed.',
  source: 'docs/module-notes.md#tlb-tracking; see K22 and K54',
  intent: 'A stale translation lets the guest read or write memory that has another owner by now.',
  hint:
    'Check that a zap flushes (BLOCK, TRACK, kick) before the host reuses the page, and that a ' +
    'fault rechecks the sequence number.',
  versions: ['*'],
  watch: (vm, report) => {
    vm.listeners.push({
      accessed: (vcpu, gfn, page) => {
        report.exercised();
        if (vm.guestMemory.backs(page, gfn)) return;
        report.violated(
          `vcpu${vcpu} reaches the page that backs GFN ${gfn}`,
          `page ${page}, which the host has reclaimed`,
        );
      },
      hostTouched: (page) => {
        for (const { index, tdvpr, walker } of vm.vcpus) {
          if (!isInsideTd(vm, tdvpr) || !walker.tlb.translations.pointsTo(page)) continue;
          report.violated(
            `no vCPU inside the TD has a translation to page ${page}`,
            `vcpu${index} has one`,
          );
        }
      },
    });
  },
} satisfies VmRule;
