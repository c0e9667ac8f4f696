/** B-37: it runs inside the SRCU read section that the deletion waits for. */
import { RET_EXIT, RET_RETRY } from '../../spec/kvm/kvm.ts';
import { SLOT_INVALID } from '../../spec/kvm/memslots.ts';
import { tdpMmu } from '../tdp-mmu/index.ts';
import { directMutant } from './mutant.ts';

export default directMutant({
  id: 'B-37',
  title: 'A prefault keeps retrying while its memslot is being deleted',
  source: 'Linux, commit 3ccbf6f47098',
  breaks: ['K42'],
  change: {
    *faultinPfn(kvm, vcpu, fault) {
      const result = yield* tdpMmu.faultinPfn.call(this, kvm, vcpu, fault);
      const isLeaving = result === RET_EXIT && kvm.slots.stateOf(fault.slot) === SLOT_INVALID;
      return isLeaving ? RET_RETRY : result;
    },
  },
});
