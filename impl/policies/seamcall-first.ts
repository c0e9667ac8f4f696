/**
 * seamcall-first (P11, variant A): the module is called before the mirror is compared and
 * exchanged. Raised in messages 11 to 13 of the thread of January 2023.
 *
 * What it breaks: when the exchange then fails there is nothing to go back to. The Secure EPT holds
 * an entry that the mirror does not know, and the page behind it is taken for free (B-47).
 */
import { EPT_ENTRY_STATE_INCORRECT, OPERAND_BUSY } from '../../spec/tdx/status.ts';
import { faultUnder, retryLocally, type Install } from '../blocks/fault.ts';
import type { Policy } from '../vm/policy.ts';
import { succeeded } from '../vm/vm.ts';
import { frozenMirror } from './frozen-mirror.ts';

/** Calls, and then makes the mirror entry present, if it still is what it was. */
export const moduleFirst: Install = function* (vm, { place, to, fn, operands }) {
  // somebody else's call may have been first
  const call = yield* vm.seamcall(fn, operands, [OPERAND_BUSY, EPT_ENTRY_STATE_INCORRECT]);
  return succeeded(call) && (yield* vm.mirror.cmpxchg(place.table, place.index, place.spte, to));
};

export const seamcallFirst: Policy = {
  ...frozenMirror,
  name: 'seamcall-first',
  group: 'question',
  title: 'the module is called first, then the mirror entry is exchanged',
  proposed: 'thread, messages 11 to 13, Jan 2023 (P11, variant A)',
  breaks: [
    {
      rule: 'K44',
      why: 'the module is asked by who has not frozen the entry: there is no way back',
    },
  ],
  *fault(vm, vcpu, gfn) {
    return yield* retryLocally(vm, vcpu, () => faultUnder(vm, gfn, 'read', moduleFirst));
  },
};

export default seamcallFirst;
