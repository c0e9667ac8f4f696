import { PerActor } from '../../spec/machine/per-actor.ts';
import type { Call } from '../../spec/tdx/call.ts';
import { classOf, describeStatus, OPERAND_BUSY } from '../../spec/tdx/status.ts';
import type { VmRule } from './rule.ts';
import { holdsForWrite } from './state/mmu-lock.ts';
import { isSplitUnderRead } from './state/splits.ts';
import { isInsideTd } from './state/td-state.ts';

/** Calls that have to succeed: the mirror has already dropped what they are about. */
const MUST_SUCCEED: readonly string[] = [
  'TDH.MEM.RANGE.BLOCK',
  'TDH.MEM.TRACK',
  'TDH.MEM.PAGE.REMOVE',
  'TDH.MEM.SEPT.REMOVE',
  'TDH.MEM.RANGE.UNBLOCK',
  'TDH.MEM.PAGE.DEMOTE',
  'TDH.MEM.PAGE.PROMOTE',
];

export default {
  id: 'K56',
  level: 'stochastic',
  statement:
    'A removal that meets BUSY is repeated once, under mmu_lock held for write, with entry ' +
    'barred and every vCPU outside, and succeeds; then entry is allowed again.',
  source: 'Linux, arch/x86/kvm/vmx/tdx.c: tdh_do_no_vcpus(); commit 3d626ce5a8cc',
  intent:
    'With vCPUs outside, no guest can hold the locks that refuse a removal, so one repetition is ' +
    'enough.',
  hint:
    'Check that wait_for_sept_zap is set before the kick, the call is repeated after it, and the ' +
    'flag is cleared on every path.',
  versions: ['*'],
  watch: (vm, report) => {
    /** Per actor: the refused call, as its index in MUST_SUCCEED plus one, and its RCX. */
    const refused = new PerActor(vm.m);
    const operand = new PerActor(vm.m);
    const isSecond = ({ name, in: { rcx } }: Call): boolean =>
      refused.mine !== 0 && refused.mine === MUST_SUCCEED.indexOf(name) + 1 && operand.mine === rcx;
    vm.tdx.listeners.push({
      began: (call) => {
        if (!isSecond(call)) return;
        report.exercised();
        if (vm.m.peek(vm.noEntry) === 0)
          report.violated('entry barred at the second try', 'wait_for_sept_zap is not set');
        const inside = vm.vcpus.find(({ tdvpr }) => isInsideTd(vm, tdvpr));
        if (inside !== undefined)
          report.violated('every vCPU outside at the second try', `vcpu${inside.index} is inside`);
      },
    });
    vm.listeners.push({
      answered: (call, tolerated) => {
        const number = MUST_SUCCEED.indexOf(call.name) + 1;
        // where a split needs no block, a fault that is refused one thaws the entry
        if (number === 0 || isSplitUnderRead(vm, call)) return;
        // a caller that does not tolerate BUSY repeats nothing: S01 reports it
        const isBusy =
          classOf(call.status) === OPERAND_BUSY &&
          (isSecond(call) || tolerated.includes(OPERAND_BUSY));
        if (isBusy && isSecond(call))
          report.violated(`${call.name} succeeds without vCPUs`, describeStatus(call.status));
        if (isBusy && !holdsForWrite(vm)) {
          report.violated('mmu_lock held for write by the task that kicks vCPUs out', 'it is not');
        }
        if (!isBusy && refused.mine === 0) return;
        refused.mine = isBusy ? number : 0;
        operand.mine = call.in.rcx;
      },
      operationEnded: () => {
        if (vm.m.peek(vm.noEntry) === 0 || vm.m.peek(vm.mmuLock.cell) < 0) return;
        report.violated(
          'entry allowed when no removal is in progress',
          'wait_for_sept_zap is still set',
        );
      },
    });
  },
} satisfies VmRule;
