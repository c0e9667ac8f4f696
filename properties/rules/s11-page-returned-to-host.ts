import type { VmRule } from './rule.ts';
import { numbersPerRun } from './state/numbers-per-run.ts';

export default {
  id: 'S11',
  level: 'required',
  statement:
    'When no operation is in flight, every page that the host asked back has been returned.',
  source: 'thread, message 11 (a callback may return it later, but has to); see K22',
  intent: 'A zap that returns without its pages makes the host lose memory that it counts as free.',
  hint:
    'Look for an unmap that ends early: an error ignored, an entry skipped, or a callback that ' +
    'gives up.',
  versions: ['*'],
  watch: (vm, report) => {
    /** Per GFN: number of times that its page must have been returned by the requests so far. */
    const due = numbersPerRun(vm.m, vm.guestMemory.gfns);
    vm.listeners.push({
      unmapBegan: (gfn, pages) => {
        for (let at = gfn; at < gfn + pages; at++) {
          if (vm.guestMemory.isBacked(at)) due[at] = vm.guestMemory.timesReturned(at) + 1;
        }
        report.exercised();
      },
      atRest: () => {
        for (const [gfn, times] of due.entries()) {
          if (vm.guestMemory.timesReturned(gfn) >= times) continue;
          const page = vm.guestMemory.pageOf(gfn);
          return report.violated(
            `page ${page} of GFN ${gfn} returned to the host, as it asked`,
            'the guest still has it',
          );
        }
      },
    });
  },
} satisfies VmRule;
