/**
 * mirror-naive: the mirror entry becomes present first, and the module is called afterwards.
 *
 * This is what "one atomic SPTE write" amounts to when the table has a twin (messages 3 and 10 of
 * the thread). Another vCPU walks through the new mirror table and has its page added before the
 * table itself is.
 */
import * as S from '../../spec/tdx/status.ts';
import { faultUnder, retryLocally, type Install } from '../blocks/fault.ts';
import type { Policy } from '../vm/policy.ts';
import { succeeded } from '../vm/vm.ts';
import { frozenMirror } from './frozen-mirror.ts';

/** Makes the mirror entry present, then calls; takes the entry back when the module is busy. */
export const mirrorFirst: Install = function* (vm, { place, to, fn, operands }) {
  if (!(yield* vm.mirror.cmpxchg(place.table, place.index, place.spte, to))) return false;
  const call = yield* vm.seamcall(fn, operands, [S.OPERAND_BUSY]);
  if (!succeeded(call)) yield* vm.mirror.write(place.table, place.index, place.spte);
  return succeeded(call);
};

export const mirrorNaive: Policy = {
  ...frozenMirror,
  name: 'mirror-naive',
  group: 'question',
  title: 'no freeze: the mirror entry is present before the module knows',
  proposed:
    'the TDX series of 2022/23 before v12 (P1); the race is in messages 3 and 10 of the thread',
  breaks: [
    { rule: 'K44', why: 'the mirror entry is present before the module has the page' },
    {
      rule: 'S01',
      why: 'a page is added under a table that the Secure EPT does not have yet: EPT_WALK_FAILED',
    },
  ],
  *fault(vm, vcpu, gfn) {
    return yield* retryLocally(vm, vcpu, () => faultUnder(vm, gfn, 'read', mirrorFirst));
  },
};

export default mirrorNaive;
