/**
 * K51, K53 to K56: the calls that add and take away private pages, and who makes them under which
 * lock.
 */
import type { Vm } from '../../impl/vm/vm.ts';
import { EMPTY, FROZEN, isPresent } from '../../spec/kvm/spte.ts';
import { PAGE_BYTES } from '../../spec/machine/memory.ts';
import { PerActor } from '../../spec/machine/per-actor.ts';
import type { Call } from '../../spec/tdx/call.ts';
import {
  classOf,
  describeStatus,
  OPERAND_BUSY,
  PREVIOUS_TLB_EPOCH_BUSY,
  SUCCESS,
} from '../../spec/tdx/status.ts';
import { TD, VCPU_ACTIVE, VP } from '../../spec/tdx/td.ts';
import type { VmRule } from './rule.ts';
import { insideTd, resetting } from './state/ghosts.ts';

const TDS = ['td', 'new-td'] as const;

const gfnOf = (call: Call): number => Math.floor(call.in.rcx / PAGE_BYTES);
const levelOf = (call: Call): number => call.in.rcx % 8;
/** An entry's name among those of all levels, never 0. */
const keyOf = (gfn: number, level: number): number => gfn * 8 + level + 1;

const K51: VmRule = {
  id: 'K51',
  level: 'stochastic',
  statement: 'A page whose removal failed is leaked: the module may still own it.',
  source: 'Linux, arch/x86/kvm/vmx/tdx.c: tdx_sept_remove_private_spte(); commit 24adff397052',
  versions: ['*'],
  vms: TDS,
  watch: (vm, report) => {
    const failed = resetting(vm.m, vm.memory.pages);
    vm.listeners.push({
      answered: (call) => {
        if (call.name !== 'TDH.MEM.PAGE.REMOVE' || classOf(call.status) === OPERAND_BUSY) return;
        if (call.status !== SUCCESS) report.exercised();
        const first = vm.guestMemory.pageOf(gfnOf(call));
        for (let i = 0; i < vm.mirror.span(levelOf(call)); i++)
          failed[first + i] = call.status === SUCCESS ? 0 : 1;
      },
      hostTouched: (page) => {
        if (failed[page] !== 0)
          report.violated(`page ${page} leaked: its removal failed`, 'the host uses it');
      },
    });
  },
};

const ADDS: ReadonlySet<string> = new Set([
  'TDH.MEM.PAGE.AUG',
  'TDH.MEM.PAGE.ADD',
  'TDH.MEM.SEPT.ADD',
]);

const K53: VmRule = {
  id: 'K53',
  level: 'stochastic',
  statement:
    'When adding a page or a table meets BUSY, the mirror entry is put back before the fault is taken again.',
  source:
    'Linux, arch/x86/kvm/mmu/tdp_mmu.c: set_external_spte_present(); arch/x86/kvm/vmx/tdx.c: tdx_mem_page_aug()',
  versions: ['*'],
  vms: TDS,
  watch: (vm, report) => {
    /**
     * Per actor: the entry whose call was refused, and the entry that the actor has changed ahead
     * of its call.
     */
    const refused = new PerActor(vm.m);
    const changed = new PerActor(vm.m);
    const ended = (): void => {
      if (refused.mine === 0) return;
      if (refused.mine === changed.mine)
        report.violated('the mirror entry put back after BUSY', 'the fault has ended without');
      refused.mine = 0;
    };
    vm.listeners.push({
      answered: (call) => {
        if (!ADDS.has(call.name)) return;
        const key = keyOf(gfnOf(call), levelOf(call));
        if (classOf(call.status) === OPERAND_BUSY) refused.mine = key;
        else if (refused.mine === key) refused.mine = 0;
      },
      slotFound: ended,
      faultEnded: ended,
      operationEnded: ended,
    });
    vm.mirror.listeners.push((table, index, before, after) => {
      if (before !== FROZEN && after !== FROZEN && refused.mine === 0) return;
      const key = keyOf(vm.mirror.gfnOf(table, index), vm.mirror.levelOf(table));
      if (after === EMPTY && refused.mine === key) {
        report.exercised();
        refused.mine = 0;
      } else if (isPresent(after) && refused.mine === key) {
        report.violated('the mirror entry put back after BUSY', 'it becomes present');
      }
      changed.mine = after === EMPTY ? 0 : key;
    });
  },
};

/** Per GFN: how far its removal has come. */
const BLOCKED = 1;
const TRACKED = 2;

/** Calls that end the removal of what they are about, one way or another. */
const SETTLES: ReadonlySet<string> = new Set([
  'TDH.MEM.PAGE.REMOVE',
  'TDH.MEM.RANGE.UNBLOCK',
  'TDH.MEM.PAGE.PROMOTE',
  'TDH.MEM.PAGE.DEMOTE',
]);

const K54: VmRule = {
  id: 'K54',
  level: 'required',
  statement:
    'A page is taken from a TD by BLOCK, TRACK, a kick of every vCPU, REMOVE, under mmu_lock held for write, ' +
    'and used again only after its cache lines were written back.',
  source: 'Linux, arch/x86/kvm/vmx/tdx.c: tdx_sept_remove_private_spte(), tdx_track()',
  versions: ['*'],
  vms: TDS,
  watch: (vm, report) => {
    const stage = resetting(vm.m, vm.guestMemory.gfns);
    const cached = resetting(vm.m, vm.memory.pages);
    const { platform } = vm.tdx;
    vm.tdx.listeners.push({
      began: (call) => {
        if (call.name === 'TDH.MEM.PAGE.REMOVE') judgeRemoval(call);
      },
      ended: (call) => {
        if (call.status !== SUCCESS) return;
        const first = gfnOf(call);
        if (call.name === 'TDH.MEM.RANGE.BLOCK')
          stage.fill(BLOCKED, first, first + vm.mirror.span(levelOf(call)));
        else if (call.name === 'TDH.MEM.TRACK')
          stage.forEach((at, gfn) => (stage[gfn] = at === BLOCKED ? TRACKED : at));
        else if (SETTLES.has(call.name))
          stage.fill(0, first, first + vm.mirror.span(levelOf(call)));
        if (call.name === 'TDH.MEM.PAGE.REMOVE') {
          const page = pageAt(vm, call.rcx);
          cached.fill(1, page, page + vm.mirror.span(levelOf(call)));
        } else if (call.name === 'TDH.PHYMEM.PAGE.WBINVD')
          cached[pageAt(vm, call.in.rcx % 2 ** platform.hkidShift)] = 0;
        else if (call.name === 'TDH.PHYMEM.CACHE.WB') cached.fill(0);
      },
    });
    vm.listeners.push({
      hostTouched: (page) => {
        if (cached[page] !== 0)
          report.violated(`PHYMEM.PAGE.WBINVD of page ${page} before it is used`, 'there was none');
      },
    });
    const judgeRemoval = (call: Call): void => {
      report.exercised();
      const at = stage[gfnOf(call)];
      if (!vm.mmuLock.heldForWrite(vm.m.current)) {
        report.violated('mmu_lock held for write at PAGE.REMOVE', 'it is not');
      } else if (vm.td.isRunnable() && at !== TRACKED) {
        report.violated(
          'RANGE.BLOCK and then TRACK before PAGE.REMOVE',
          at === BLOCKED ? 'no TRACK since' : 'not blocked',
        );
      } else if (vm.td.isRunnable() && vm.vcpus.some(({ tdvpr }) => isOfOldEpoch(vm, tdvpr))) {
        report.violated(
          'every vCPU kicked out after TRACK and before PAGE.REMOVE',
          'one is inside since before',
        );
      }
    };
  },
};

const pageAt = (vm: Vm, hpa: number): number =>
  Math.floor(hpa / PAGE_BYTES) - vm.tdx.platform.tdmrBase;

/** The vCPU is inside, and entered before the last TRACK. */
const isOfOldEpoch = (vm: Vm, tdvpr: number): boolean =>
  vm.m.peek(vm.memory.word(tdvpr, VP.STATE)) === VCPU_ACTIVE &&
  vm.m.peek(vm.memory.word(tdvpr, VP.VCPU_EPOCH)) !==
    vm.m.peek(vm.memory.word(vm.tdr, TD.TD_EPOCH));

const K55: VmRule = {
  id: 'K55',
  level: 'required',
  statement:
    'TRACK and the kick after it are one unit under mmu_lock held for write: no TRACK comes before every vCPU ' +
    'has left the epoch before.',
  source: 'Linux, arch/x86/kvm/vmx/tdx.c: tdx_track(); module notes §3 (TRACK)',
  versions: ['*'],
  vms: TDS,
  watch: (vm, report) => {
    vm.tdx.listeners.push({
      began: ({ name }) => {
        if (name !== 'TDH.MEM.TRACK') return;
        report.exercised();
        if (!vm.mmuLock.heldForWrite(vm.m.current))
          report.violated('mmu_lock held for write at TRACK', 'it is not');
      },
      ended: ({ name }, status) => {
        if (name !== 'TDH.MEM.TRACK' || classOf(status) !== PREVIOUS_TLB_EPOCH_BUSY) return;
        report.violated(
          'every vCPU kicked out of the previous epoch before the next TRACK',
          describeStatus(status),
        );
      },
    });
  },
};

/** Calls that may not be given up: they take away what the mirror has given up already. */
const MUST_SUCCEED: readonly string[] = [
  'TDH.MEM.RANGE.BLOCK',
  'TDH.MEM.TRACK',
  'TDH.MEM.PAGE.REMOVE',
  'TDH.MEM.SEPT.REMOVE',
  'TDH.MEM.RANGE.UNBLOCK',
  'TDH.MEM.PAGE.DEMOTE',
  'TDH.MEM.PAGE.PROMOTE',
];

const K56: VmRule = {
  id: 'K56',
  level: 'stochastic',
  statement:
    'A removal that meets BUSY is repeated once, under mmu_lock held for write, with entries barred and every ' +
    'vCPU outside, and succeeds; then entries are allowed again.',
  source: 'Linux, arch/x86/kvm/vmx/tdx.c: tdh_do_no_vcpus(); commit 3d626ce5a8cc',
  versions: ['*'],
  vms: TDS,
  watch: (vm, report) => {
    /** Per actor: the call that was refused, as its place in MUST_SUCCEED plus one, and its RCX. */
    const refused = new PerActor(vm.m);
    const operand = new PerActor(vm.m);
    const isSecond = ({ name, in: { rcx } }: Call): boolean =>
      refused.mine !== 0 && refused.mine === MUST_SUCCEED.indexOf(name) + 1 && operand.mine === rcx;
    vm.tdx.listeners.push({
      began: (call) => {
        if (!isSecond(call)) return;
        report.exercised();
        if (vm.m.peek(vm.noEntry) === 0)
          report.violated('entries barred at the second try', 'wait_for_sept_zap is not set');
        const inside = insideTd(vm);
        if (inside !== undefined)
          report.violated('every vCPU outside at the second try', `vcpu${inside.index} is inside`);
      },
    });
    vm.listeners.push({
      answered: (call, tolerated) => {
        const place = MUST_SUCCEED.indexOf(call.name) + 1;
        if (place === 0) return;
        // a caller that has no answer to BUSY tries nothing again: that is S01's affair
        const isBusy =
          classOf(call.status) === OPERAND_BUSY &&
          (isSecond(call) || tolerated.includes(OPERAND_BUSY));
        if (isBusy && isSecond(call))
          report.violated(`${call.name} succeeds without vCPUs`, describeStatus(call.status));
        if (isBusy && !vm.mmuLock.heldForWrite(vm.m.current)) {
          report.violated('mmu_lock held for write by whoever has to get others out', 'it is not');
        }
        if (!isBusy && refused.mine === 0) return;
        refused.mine = isBusy ? place : 0;
        operand.mine = call.in.rcx;
      },
      operationEnded: () => {
        if (vm.m.peek(vm.noEntry) === 0 || vm.m.peek(vm.mmuLock.cell) < 0) return;
        report.violated(
          'entries allowed again when nobody is removing',
          'wait_for_sept_zap is still set',
        );
      },
    });
  },
};

export const REMOVAL_RULES: readonly VmRule[] = [K51, K53, K54, K55, K56];
export default REMOVAL_RULES;
