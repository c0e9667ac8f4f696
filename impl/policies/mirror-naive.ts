/**
 * mirror-naive: the mirror entry becomes present first, and the module is called afterwards. This
 * is "one atomic SPTE write" applied to a table that has a twin (P1; messages 3 and 10 of the
 * thread).
 *
 * What it breaks: another vCPU walks through the new mirror table, and adds its page before the
 * table itself is added.
 */
import * as S from '../../spec/tdx/status.ts';
import { faultUnder, retryLocally, type Install } from '../blocks/fault.ts';
import type { Policy } from '../vm/policy.ts';
import { succeeded } from '../vm/vm.ts';
import { frozenMirror } from './frozen-mirror.ts';

/** Makes the mirror entry present, then calls the module; reverts the entry if that is busy. */
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
  title: 'make the mirror entry present before the module has the page',
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
