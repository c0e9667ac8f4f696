import { PerActor } from '../../spec/machine/per-actor.ts';
import { classOf, OPERAND_BUSY } from '../../spec/tdx/status.ts';
import type { VmRule } from './rule.ts';

export default {
  id: 'K59',
  level: 'stochastic',
  statement: 'BUSY at TDH.VP.ENTER is neither an exit nor an error: the vCPU retries the entry.',
  source: 'Linux, arch/x86/kvm/vmx/tdx.c: tdx_exit_handlers_fastpath()',
  intent: 'A host call can hold the lock for a moment; an error would end a healthy guest.',
  hint: 'Check the exit handler: BUSY must not be handled as an exit and must not stop the vCPU.',
  versions: ['*'],
  watch: (vm, report) => {
    /** Per actor: the vCPU whose entry was refused, plus one, or 0. */
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
            'its operation ends',
          );
        }
      },
    });
  },
} satisfies VmRule;
