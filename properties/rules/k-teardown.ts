/** K43, K50, K62: what a private GFN, a memslot and a TD leave behind when they end. */
import type { Vm } from '../../impl/vm/vm.ts';
import { EMPTY, isLeafSpte, isPresent } from '../../spec/kvm/spte.ts';
import { PerActor } from '../../spec/machine/per-actor.ts';
import type { Call } from '../../spec/tdx/call.ts';
import { SUCCESS } from '../../spec/tdx/status.ts';
import { KEYS_CONFIGURED, TD, TEARDOWN } from '../../spec/tdx/td.ts';
import type { VmRule } from './rule.ts';
import { mirrorLeaf } from './state/ghosts.ts';

const K43: VmRule = {
  id: 'K43',
  level: 'required',
  statement:
    'The mirror maps private GFNs only: when one becomes shared, its leaf goes inside the same invalidation.',
  source:
    'Linux, arch/x86/kvm/mmu/mmu.c: kvm_arch_pre_set_memory_attributes(), tdp_mmu.h: tdp_mmu_get_root_for_fault()',
  versions: ['*'],
  vms: ['td', 'new-td'],
  watch: (vm, report) => {
    vm.mirror.listeners.push((table, index, before, after) => {
      if (!isLeafSpte(after) || isLeafSpte(before)) return;
      report.exercised();
      const first = vm.mirror.gfnOf(table, index);
      for (let gfn = first; gfn < first + vm.mirror.span(vm.mirror.levelOf(table)); gfn++) {
        if (vm.td.isShared(gfn))
          report.violated(`GFN ${gfn} not in the mirror: it is shared`, 'a fault maps it there');
      }
    });
  },
  atRest: (vm, report) => {
    for (let gfn = 0; gfn < vm.guestMemory.gfns; gfn++) {
      if (!vm.td.isShared(gfn) || mirrorLeaf(vm, gfn) === EMPTY) continue;
      report.violated(`GFN ${gfn} not in the mirror: it is shared`, 'its leaf is still there');
    }
  },
};

const K50: VmRule = {
  id: 'K50',
  level: 'required',
  statement:
    'The deletion of a memslot takes from a TD the leaves of exactly that slot: none remains, no other goes.',
  source:
    'Linux, arch/x86/kvm/mmu/mmu.c: kvm_mmu_zap_memslot_leafs(); patch "Force TDX VMs to zap leafs"',
  versions: ['*'],
  vms: ['td', 'new-td'],
  watch: (vm, report) => {
    /** Per actor: the first GFN of the slot that it deletes, plus one, and how many pages that has. */
    const first = new PerActor(vm.m);
    const pages = new PerActor(vm.m);
    const isOfSlot = (gfn: number): boolean =>
      gfn >= first.mine - 1 && gfn < first.mine - 1 + pages.mine;
    vm.listeners.push({
      slotRemovalBegan: (gfn, count) => {
        report.exercised();
        first.mine = gfn + 1;
        pages.mine = count;
      },
      slotRemoved: (gfn, count) => {
        first.mine = 0;
        for (let at = gfn; at < gfn + count; at++) {
          if (mirrorLeaf(vm, at) !== EMPTY)
            report.violated(`nothing maps GFN ${at} of the deleted slot`, 'the mirror does');
        }
      },
    });
    vm.mirror.listeners.push((table, index, before, after) => {
      if (first.mine === 0 || !isLeafSpte(before) || isPresent(after)) return;
      const gfn = vm.mirror.gfnOf(table, index);
      if (isOfSlot(gfn)) return;
      report.violated(
        `GFN ${gfn}, of another slot, stays: the guest has accepted it`,
        'it is zapped with the slot',
      );
    });
  },
};

const K62: VmRule = {
  id: 'K62',
  level: 'required',
  statement:
    'A TD ends in this order: its leaves, its vCPUs off their processors, caches written back, the HKID freed, ' +
    "pages reclaimed, the TDR last; no vCPU is freed before it is off its processor's list.",
  source:
    'Linux, arch/x86/kvm/vmx/tdx.c: tdx_mmu_release_hkid(), tdx_reclaim_td_control_pages(); commit 1e3a825c9ec9',
  versions: ['*'],
  vms: ['td', 'new-td'],
  watch: (vm, report) => {
    let isTdrWritten = false;
    vm.m.onReset(() => (isTdrWritten = false));
    vm.tdx.listeners.push({
      began: (call) => {
        const requirement = REQUIREMENTS.find(
          ({ applies, holds }) => applies(call, vm) && !holds(vm),
        );
        if (call.name === 'TDH.PHYMEM.PAGE.RECLAIM') report.exercised();
        if (requirement !== undefined)
          report.violated(`${requirement.expected} at ${call.name}`, requirement.seen);
      },
      ended: (call) => {
        const isTdr = call.name === 'TDH.PHYMEM.PAGE.WBINVD' && call.page === vm.tdr;
        if (isTdr && call.status === SUCCESS) isTdrWritten = true;
      },
    });
    vm.listeners.push({
      hostTouched: (page) => {
        if (page === vm.tdr && !isTdrWritten)
          report.violated('PHYMEM.PAGE.WBINVD of the TDR before it is used', 'none');
      },
      vcpuFreed: (listed) => {
        if (listed)
          report.violated(
            "the vCPU off its processor's list before it is freed",
            'it is still on it',
          );
      },
    });
  },
};

interface Requirement {
  applies(call: Call, vm: Vm): boolean;
  holds(vm: Vm): boolean;
  readonly expected: string;
  readonly seen: string;
}

const tdWord = (vm: Vm, word: number): number => vm.m.peek(vm.memory.word(vm.tdr, word));

/** What each call at a TD's end needs from the ones before it. */
const REQUIREMENTS: readonly Requirement[] = [
  {
    applies: ({ name }) => name.startsWith('TDH.MEM.'),
    holds: (vm) => tdWord(vm, TD.LIFECYCLE) === KEYS_CONFIGURED,
    expected: 'the HKID still assigned',
    seen: 'the TD is past VPFLUSHDONE',
  },
  {
    applies: ({ name }) => name === 'TDH.MNG.VPFLUSHDONE',
    holds: (vm) =>
      Array.from({ length: vm.guestMemory.gfns }, (_, gfn) => mirrorLeaf(vm, gfn)).every(
        (s) => s === EMPTY,
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
    applies: ({ name }) => name === 'TDH.PHYMEM.PAGE.RECLAIM',
    holds: (vm) => tdWord(vm, TD.LIFECYCLE) === TEARDOWN,
    expected: 'the HKID freed',
    seen: 'it is assigned: dirty private lines may come after the page',
  },
  {
    applies: ({ name, in: { rcx } }, vm) =>
      name === 'TDH.PHYMEM.PAGE.RECLAIM' && rcx === vm.address(vm.tdr),
    holds: (vm) => tdWord(vm, TD.CHLDCNT) === 0,
    expected: 'every other page reclaimed before the TDR',
    seen: 'the TD has more',
  },
];

export const TEARDOWN_RULES: readonly VmRule[] = [K43, K50, K62];
export default TEARDOWN_RULES;
