import { EMPTY, isLeafSpte, isPresent } from '../../spec/kvm/spte.ts';
import { SLOT_VALID } from '../../spec/kvm/td-vm.ts';
import { PerActor } from '../../spec/machine/per-actor.ts';
import type { VmRule } from './rule.ts';
import { mirrorLeaf } from './state/entries.ts';
import { numbersPerRun } from './state/numbers-per-run.ts';

export default {
  id: 'K58',
  level: 'required',
  statement:
    'The vCPU returns from a private fault to the guest only when the fault is resolved, or for ' +
    'a pending event, a signal or a memslot being deleted.',
  source: 'Linux, arch/x86/kvm/vmx/tdx.c: tdx_handle_ept_violation(); commit b0327bb2e7e0',
  intent: 'Entering the TD with the fault unresolved repeats it and feeds zero-step mitigation.',
  hint: 'Check the retry loop of the fault: what ends it, and what it checks before each attempt.',
  versions: ['*'],
  watch: (vm, report) => {
    /**
     * Per vCPU: the GFN it faults on, plus one, or 0; 1 when a leaf has been installed for it; the
     * requests that were pending at the last attempt.
     */
    const faulting = numbersPerRun(vm.m, vm.vcpus.length);
    const resolved = numbersPerRun(vm.m, vm.vcpus.length);
    const pending = numbersPerRun(vm.m, vm.vcpus.length);
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
            `vcpu${vcpu} stops retrying for the pending request`,
            `it retries its fault on GFN ${gfn}`,
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
          'the same fault will recur',
        );
      },
    });
    vm.mirror.listeners.push((table, index, _before, after) => {
      if (!isPresent(after)) return;
      const first = vm.mirror.gfnOf(table, index);
      const past = first + vm.mirror.span(vm.mirror.levelOf(table));
      for (const [vcpu, one] of faulting.entries()) {
        if (one <= first || one > past) continue;
        // a split links a table whose leaves were written before
        if (isLeafSpte(after) || mirrorLeaf(vm, one - 1) !== EMPTY) resolved[vcpu] = 1;
      }
    });
  },
} satisfies VmRule;
