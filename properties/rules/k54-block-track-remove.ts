import type { Vm } from '../../impl/vm/vm.ts';
import { PAGE_BYTES } from '../../spec/machine/memory.ts';
import type { Reporter } from '../../spec/machine/monitor.ts';
import type { Call } from '../../spec/tdx/call.ts';
import { SUCCESS } from '../../spec/tdx/status.ts';
import type { VmRule } from './rule.ts';
import { BLOCK, DEMOTE, PROMOTE } from './state/calls.ts';
import { gfnOfCall, levelOfCall } from './state/entry-keys.ts';
import { holdsForWrite } from './state/mmu-lock.ts';
import { numbersPerRun } from './state/numbers-per-run.ts';
import { isOfOldEpoch } from './state/td-state.ts';

/** Progress of the removal of a GFN; 0 when it is mapped or gone. */
const BLOCKED = 1;
const TRACKED = 2;

const REMOVE = 'TDH.MEM.PAGE.REMOVE';

/** Calls after which the removal of a page is complete or given up. */
const ENDS_REMOVAL: ReadonlySet<string> = new Set([
  REMOVE,
  'TDH.MEM.RANGE.UNBLOCK',
  PROMOTE,
  DEMOTE,
]);

export default {
  id: 'K54',
  level: 'required',
  statement:
    'A page is removed from a TD by BLOCK, TRACK, a kick of every vCPU and REMOVE, under ' +
    'mmu_lock held for write, and reused only after its cache lines are written back.',
  source: 'Linux, arch/x86/kvm/vmx/tdx.c: tdx_sept_remove_private_spte(), tdx_track()',
  intent:
    'REMOVE fails while a vCPU may hold a translation; dirty lines of the old key corrupt the ' +
    'next owner.',
  hint: 'Check the order of the zap, the kick after TRACK, and WBINVD before the page is freed.',
  versions: ['*'],
  watch: (vm, report) => {
    const progress = numbersPerRun(vm.m, vm.guestMemory.gfns);
    /** Pages with lines of the TD's key in the caches. */
    const cached = numbersPerRun(vm.m, vm.memory.pages);
    vm.tdx.listeners.push({
      began: (call) => {
        if (call.name === REMOVE) judgeRemoval(vm, progress[gfnOfCall(call)] ?? 0, report);
      },
      ended: (call) => {
        if (call.status !== SUCCESS) return;
        followProgress(vm, progress, call);
        followCaches(vm, cached, call);
      },
    });
    vm.listeners.push({
      hostTouched: (page) => {
        if (cached[page] !== 0)
          report.violated(`PHYMEM.PAGE.WBINVD of page ${page} before it is used`, 'there was none');
      },
    });
  },
} satisfies VmRule;

/** A page is about to be removed. */
function judgeRemoval(vm: Vm, progress: number, report: Reporter): void {
  report.exercised();
  if (!holdsForWrite(vm)) {
    report.violated('mmu_lock held for write at PAGE.REMOVE', 'it is not');
  } else if (vm.td.isRunnable() && progress !== TRACKED) {
    report.violated(
      'RANGE.BLOCK and then TRACK before PAGE.REMOVE',
      progress === BLOCKED ? 'no TRACK since' : 'not blocked',
    );
  } else if (vm.td.isRunnable() && vm.vcpus.some(({ tdvpr }) => isOfOldEpoch(vm, tdvpr))) {
    report.violated(
      'every vCPU kicked after TRACK and before PAGE.REMOVE',
      'one has been inside since before TRACK',
    );
  }
}

/** A call that succeeded blocks a range, tracks what is blocked, or ends a removal. */
function followProgress(vm: Vm, progress: Int32Array, call: Call): void {
  const first = gfnOfCall(call);
  const past = first + vm.mirror.span(levelOfCall(call));
  if (call.name === BLOCK) progress.fill(BLOCKED, first, past);
  else if (call.name === 'TDH.MEM.TRACK')
    progress.forEach((at, gfn) => (progress[gfn] = at === BLOCKED ? TRACKED : at));
  else if (ENDS_REMOVAL.has(call.name)) progress.fill(0, first, past);
}

/** A call that succeeded removes a page, or writes cache lines back. */
function followCaches(vm: Vm, cached: Int32Array, call: Call): void {
  if (call.name === REMOVE) {
    const page = pageAt(vm, call.rcx);
    cached.fill(1, page, page + vm.mirror.span(levelOfCall(call)));
  } else if (call.name === 'TDH.PHYMEM.PAGE.WBINVD')
    cached[pageAt(vm, call.in.rcx % 2 ** vm.tdx.platform.hkidShift)] = 0;
  else if (call.name === 'TDH.PHYMEM.CACHE.WB') cached.fill(0);
}

const pageAt = (vm: Vm, hpa: number): number =>
  Math.floor(hpa / PAGE_BYTES) - vm.tdx.platform.tdmrBase;
