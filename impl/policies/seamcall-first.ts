/**
 * seamcall-first (P11, variant A): the module is called before the cmpxchg of the mirror entry.
 * Raised in messages 11 to 13 of the thread of January 2023.
 *
 * What it breaks: if the cmpxchg then fails, the call cannot be undone. The Secure EPT has an entry
 * that the mirror does not have, and KVM takes the page behind it for free (B-47).
 */
import { OPERAND_BUSY } from '../../spec/tdx/status.ts';
import { faultUnder, retryLocally, type Install } from '../blocks/fault.ts';
import { OTHER_STATE } from '../blocks/seamcalls.ts';
import type { Policy } from '../vm/policy.ts';
import { succeeded } from '../vm/vm.ts';
import { frozenMirror } from './frozen-mirror.ts';

/** Calls the module, then makes the mirror entry present if it has not changed. */
const moduleFirst: Install = function* (vm, { place, to, fn, operands }) {
  // another actor's call may have been first
  const call = yield* vm.seamcall(fn, operands, [OPERAND_BUSY, ...OTHER_STATE]);
  return succeeded(call) && (yield* vm.mirror.cmpxchg(place.table, place.index, place.spte, to));
};

export const seamcallFirst: Policy = {
  ...frozenMirror,
  name: 'seamcall-first',
  group: 'question',
  title: 'call the module first, then exchange the mirror entry',
  proposed: 'thread, messages 11 to 13, Jan 2023 (P11, variant A)',
  breaks: [
    {
      rule: 'K44',
      why: 'the module is called without the entry FROZEN, and the call cannot be undone',
    },
  ],
  *fault(vm, vcpu, gfn) {
    return yield* retryLocally(vm, vcpu, () => faultUnder(vm, gfn, 'read', moduleFirst));
  },
};

export default seamcallFirst;
