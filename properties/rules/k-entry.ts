/** K42, K57 to K60: faults and entries of a TD's vCPUs. */
import { K42_TEXT } from '../../spec/kvm/rules/k42-retry-ends-with-memslot.ts';
import { EMPTY, isLeafSpte } from '../../spec/kvm/spte.ts';
import { SLOT_INVALID, SLOT_VALID } from '../../spec/kvm/td-vm.ts';
import { EXIT_PENDING } from '../../spec/kvm/vcpu-exit.ts';
import { PerActor } from '../../spec/machine/per-actor.ts';
import { OUTSIDE_GUEST } from '../../spec/machine/vcpu.ts';
import { classOf, OPERAND_BUSY } from '../../spec/tdx/status.ts';
import type { VmRule } from './rule.ts';
import { mirrorLeaf, resetting } from './state/ghosts.ts';

/** The same rule about the faults of a TD, whose slot and SRCU are its own. */
const K42_OF_TDS: VmRule = {
  ...K42_TEXT,
  level: 'stochastic',
  vms: ['td', 'new-td'],
  watch: (vm, report) => {
    const foundInvalid = new PerActor(vm.m);
    const forget = (): void => {
      if (foundInvalid.mine !== 0) foundInvalid.mine = 0;
    };
    vm.listeners.push({
      faultBegan: forget,
      operationEnded: forget,
      slotFound: (gfn, state) => {
        if (state !== SLOT_INVALID || !vm.td.srcu.holds(vm.m.current)) return;
        report.exercised();
        if (foundInvalid.mine !== 0) {
          report.violated(
            'the SRCU section left, which the deletion of the slot waits for',
            `GFN ${gfn} faults again inside it, and finds its slot INVALID again`,
          );
        }
        foundInvalid.mine = 1;
      },
    });
  },
};

const K57: VmRule = {
  id: 'K57',
  level: 'required',
  statement:
    'A vCPU calls TDH.VP.ENTER in IN_GUEST_MODE only, and handles each exit once, whether or not it entered.',
  source: 'Linux, arch/x86/kvm/vmx/tdx.c: tdx_vcpu_run(); commit e5f1d62c59ae',
  versions: ['*'],
  vms: ['td', 'new-td'],
  watch: (vm, report) => {
    const handled = resetting(vm.m, vm.vcpus.length);
    vm.listeners.push({
      exitHandled: (vcpu, serial) => {
        report.exercised();
        if (handled[vcpu] === serial)
          report.violated('each exit handled once', `vcpu${vcpu} handles its last one again`);
        handled[vcpu] = serial;
      },
    });
    vm.tdx.listeners.push({
      began: ({ name, in: { lp } }) => {
        if (name !== 'TDH.VP.ENTER' || vm.vcpus[lp]?.kvm.mode() !== OUTSIDE_GUEST) return;
        report.violated(
          `vcpu${lp} in IN_GUEST_MODE, where a kick finds it`,
          'it enters the TD from OUTSIDE_GUEST_MODE',
        );
      },
    });
  },
};

const K58: VmRule = {
  id: 'K58',
  level: 'required',
  statement:
    'A private fault goes back to the guest when it is resolved, or for an event, a signal or a slot that goes.',
  source: 'Linux, arch/x86/kvm/vmx/tdx.c: tdx_handle_ept_violation(); commit b0327bb2e7e0',
  versions: ['*'],
  vms: ['td', 'new-td'],
  watch: (vm, report) => {
    /**
     * Per vCPU: the GFN it faults on, plus one, or 0; whether that was mapped since; what was
     * pending at the last try.
     */
    const faulting = resetting(vm.m, vm.vcpus.length);
    const resolved = resetting(vm.m, vm.vcpus.length);
    const pending = resetting(vm.m, vm.vcpus.length);
    const vcpuOf = new PerActor(vm.m);
    vm.listeners.push({
      faultBegan: (vcpu, gfn) => {
        vcpuOf.mine = vcpu + 1;
        faulting[vcpu] = gfn + 1;
        resolved[vcpu] = mirrorLeaf(vm, gfn) === EMPTY ? 0 : 1;
        pending[vcpu] = 0;
      },
      slotFound: (gfn) => {
        const vcpu = vcpuOf.mine - 1;
        if (vcpu < 0) return;
        if (pending[vcpu] !== 0) {
          report.violated(
            `vcpu${vcpu} leaves for what is pending`,
            `it takes its fault on GFN ${gfn} once more`,
          );
        }
        pending[vcpu] = vm.vcpus[vcpu]?.kvm.requests() ?? 0;
      },
      faultEnded: (vcpu, gfn, _acceptLevel, mayRetry) => {
        report.exercised();
        faulting[vcpu] = 0;
        vcpuOf.mine = 0;
        const isWanted = vm.vcpus[vcpu]?.kvm.requests() !== 0 || vm.m.peek(vm.slot) !== SLOT_VALID;
        if (!mayRetry || resolved[vcpu] !== 0 || isWanted || vm.td.isDead()) return;
        report.violated(
          `GFN ${gfn} mapped before vcpu${vcpu} enters the TD again`,
          'the same fault is ahead of it',
        );
      },
    });
    vm.mirror.listeners.push((table, index, _before, after) => {
      if (!isLeafSpte(after)) return;
      const first = vm.mirror.gfnOf(table, index);
      const past = first + vm.mirror.span(vm.mirror.levelOf(table));
      for (const [vcpu, one] of faulting.entries())
        if (one > first && one <= past) resolved[vcpu] = 1;
    });
  },
};

const K59: VmRule = {
  id: 'K59',
  level: 'stochastic',
  statement: 'BUSY at TDH.VP.ENTER is neither an exit nor an error: the vCPU tries again.',
  source: 'Linux, arch/x86/kvm/vmx/tdx.c: tdx_exit_handlers_fastpath()',
  versions: ['*'],
  vms: ['td', 'new-td'],
  watch: (vm, report) => {
    const refused = new PerActor(vm.m);
    vm.listeners.push({
      answered: ({ name, status, in: { lp } }) => {
        if (name !== 'TDH.VP.ENTER') return;
        const isBusy = classOf(status) === OPERAND_BUSY;
        if (refused.mine !== 0) report.exercised();
        if (isBusy || refused.mine !== 0) refused.mine = isBusy ? lp + 1 : 0;
      },
      exitHandled: (vcpu) => {
        if (refused.mine === vcpu + 1)
          report.violated('no exit: the vCPU did not enter', `vcpu${vcpu} handles one`);
      },
      operationEnded: () => {
        if (refused.mine !== 0 && !vm.td.isDead()) {
          report.violated(
            `vcpu${refused.mine - 1} calls TDH.VP.ENTER again after BUSY`,
            'it has given up',
          );
        }
      },
    });
  },
};

const K60: VmRule = {
  id: 'K60',
  level: 'stochastic',
  statement:
    'A guest that touches a page that it has not accepted, with #VE turned off, is ended, not sent back.',
  source: 'Linux, arch/x86/kvm/vmx/tdx.c: tdx_is_sept_violation_unexpected_pending()',
  versions: ['*'],
  vms: ['td', 'new-td'],
  watch: (vm, report) => {
    vm.listeners.push({
      faultEnded: (vcpu, gfn, _acceptLevel, mayRetry) => {
        if (((vm.vcpus[vcpu]?.exit.flags ?? 0) & EXIT_PENDING) === 0) return;
        report.exercised();
        if (mayRetry)
          report.violated(
            'the VM dead: the page stays pending',
            `vcpu${vcpu} is to touch GFN ${gfn} again`,
          );
      },
    });
  },
};

export const ENTRY_RULES: readonly VmRule[] = [K42_OF_TDS, K57, K58, K59, K60];
export default ENTRY_RULES;
