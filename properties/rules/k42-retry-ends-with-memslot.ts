/** K42 about the faults of a TD, whose memslot and SRCU are its own. */
import { SLOT_INVALID } from '../../spec/kvm/td-vm.ts';
import { PerActor } from '../../spec/machine/per-actor.ts';
import { TD_KINDS, type TdMonitor } from './rule.ts';

export default {
  id: 'K42',
  level: 'stochastic',
  vms: TD_KINDS,
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
            'the SRCU section left: the deletion of the slot waits for it',
            `GFN ${gfn} faults again inside it and finds its slot INVALID again`,
          );
        }
        foundInvalid.mine = 1;
      },
    });
  },
} satisfies TdMonitor;
