import type { Vm } from '../../impl/vm/vm.ts';
import { EMPTY } from '../../spec/kvm/spte.ts';
import type { Call } from '../../spec/tdx/call.ts';
import { SUCCESS } from '../../spec/tdx/status.ts';
import { TD, TEARDOWN } from '../../spec/tdx/td.ts';
import type { VmRule } from './rule.ts';
import { mirrorLeaf } from './state/entries.ts';
import { isAlive, tdWord } from './state/td-state.ts';

const RECLAIM = 'TDH.PHYMEM.PAGE.RECLAIM';

export default {
  id: 'K62',
  level: 'required',
  statement:
    'A TD is torn down in this order: zap leaves, flush every vCPU off its processor, write ' +
    'caches back, free the HKID, reclaim pages, the TDR last; a vCPU is freed only off its ' +
    "processor's list.",
  source:
    'Linux, arch/x86/kvm/vmx/tdx.c: tdx_mmu_release_hkid(), tdx_reclaim_td_control_pages(); ' +
    'commit 1e3a825c9ec9',
  intent: 'Out of order, the module refuses the call and the page, the HKID or the vCPU is lost.',
  hint: 'Check the order of the calls at VM destruction, and what frees vCPUs before VP.FLUSH.',
  versions: ['*'],
  watch: (vm, report) => {
    let isTdrWrittenBack = false;
    vm.m.onReset(() => (isTdrWrittenBack = false));
    vm.tdx.listeners.push({
      began: (call) => {
        const unmet = REQUIREMENTS.find(({ applies, holds }) => applies(call, vm) && !holds(vm));
        if (call.name === RECLAIM) report.exercised();
        if (unmet !== undefined) report.violated(`${unmet.expected} at ${call.name}`, unmet.seen);
      },
      ended: (call) => {
        const isTdr = call.name === 'TDH.PHYMEM.PAGE.WBINVD' && call.page === vm.tdr;
        if (isTdr && call.status === SUCCESS) isTdrWrittenBack = true;
      },
    });
    vm.listeners.push({
      hostTouched: (page) => {
        if (page === vm.tdr && !isTdrWrittenBack)
          report.violated('PHYMEM.PAGE.WBINVD of the TDR before it is used', 'none');
      },
      vcpuFreed: (isListed) => {
        if (isListed)
          report.violated(
            "the vCPU off its processor's list before it is freed",
            'it is still on it',
          );
      },
    });
  },
} satisfies VmRule;

/** What a call of the teardown needs from the calls before it. */
interface Requirement {
  applies(call: Call, vm: Vm): boolean;
  holds(vm: Vm): boolean;
  readonly expected: string;
  readonly seen: string;
}

const REQUIREMENTS: readonly Requirement[] = [
  {
    applies: ({ name }) => name.startsWith('TDH.MEM.'),
    holds: isAlive,
    expected: 'the HKID still assigned',
    seen: 'the TD is past VPFLUSHDONE',
  },
  {
    applies: ({ name }) => name === 'TDH.MNG.VPFLUSHDONE',
    holds: (vm) =>
      Array.from({ length: vm.guestMemory.gfns }, (_, gfn) => mirrorLeaf(vm, gfn)).every(
        (spte) => spte === EMPTY,
      ),
    expected: 'every private leaf zapped',
    seen: 'the mirror has one',
  },
  {
    applies: ({ name }) => name === 'TDH.MNG.VPFLUSHDONE',
    holds: (vm) => tdWord(vm, TD.NUM_ASSOC_VCPUS) === 0,
    expected: 'every vCPU flushed',
    seen: 'one is associated with a processor',
  },
  {
    applies: ({ name }) => name === 'TDH.MNG.KEY.FREEID',
    holds: (vm) => vm.m.peek(vm.tdx.keys.wbinvdBitmap(tdWord(vm, TD.HKID))) === 0,
    expected: 'caches written back on every package',
    seen: 'one has lines under the HKID',
  },
  {
    applies: ({ name }) => name === RECLAIM,
    holds: (vm) => tdWord(vm, TD.LIFECYCLE) === TEARDOWN,
    expected: 'the HKID freed',
    seen: 'it is assigned: dirty private lines may be written back after the page is reused',
  },
  {
    applies: ({ name, in: { rcx } }, vm) => name === RECLAIM && rcx === vm.address(vm.tdr),
    holds: (vm) => tdWord(vm, TD.CHLDCNT) === 0,
    expected: 'every other page reclaimed before the TDR',
    seen: 'the TD has more',
  },
];
