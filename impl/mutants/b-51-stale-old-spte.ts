/** B-51: the cmpxchg is repeated with the value that has just turned out to be stale. */
import { FROZEN } from '../../spec/kvm/spte.ts';
import { OPERAND_BUSY } from '../../spec/tdx/status.ts';
import { faultUnder, retryLocally, type Install } from '../blocks/fault.ts';
import { frozenMirror } from '../policies/frozen-mirror.ts';
import { succeeded } from '../vm/vm.ts';
import { mutant } from './mutant.ts';

/** The frozen window, whose cmpxchg is repeated with the value read before. */
const throughFrozenAgain: Install = function* (vm, { place, to, fn, operands }) {
  while (!(yield* vm.mirror.cmpxchg(place.table, place.index, place.spte, FROZEN)))
    yield* vm.m.relax(vm.noEntry);
  const call = yield* vm.seamcall(fn, operands, [OPERAND_BUSY]);
  yield* vm.mirror.write(place.table, place.index, succeeded(call) ? to : place.spte);
  return succeeded(call);
};

export default mutant({
  id: 'B-51',
  title: 'A failed cmpxchg of a mirror entry does not reread the old value',
  source: 'commit 02eaaffdd865 (fixes 77ac7079e66d); Linux 6.14 to 7.0',
  base: frozenMirror,
  breaks: ['K2'],
  change: {
    *fault(vm, vcpu, gfn) {
      return yield* retryLocally(vm, vcpu, () => faultUnder(vm, gfn, 'read', throughFrozenAgain));
    },
  },
});
