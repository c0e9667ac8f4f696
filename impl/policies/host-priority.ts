/**
 * host-priority (P9): who is refused an entry relies on the module's own host priority: the second
 * try has to succeed, as no guest gets the entry in between. A feature of the module (bit 52 of an
 * entry) taken for the whole answer.
 *
 * What it breaks: priority is about entries. VP.ENTER holds the epoch against TRACK, and, with
 * zero-step mitigation armed, the tree against BLOCK, and neither lock has it; and who holds the
 * entry already is not hurried.
 */
import { memTrack } from '../../spec/tdx/functions/mem-track.ts';
import { OPERAND_BUSY } from '../../spec/tdx/status.ts';
import { kickAll } from '../blocks/seamcalls.ts';
import { zapLeaf, type Zap, zappingBy } from '../blocks/zap.ts';
import type { Policy } from '../vm/policy.ts';
import { isStatus } from '../vm/vm.ts';
import { frozenMirror } from './frozen-mirror.ts';

/** Two tries, one after the other. */
const TWICE: Zap = {
  *call(vm, fn, operands) {
    const first = yield* vm.seamcall(fn, operands, [OPERAND_BUSY]);
    return isStatus(first, OPERAND_BUSY) ? yield* vm.seamcall(fn, operands) : first;
  },
  *track(vm) {
    yield* TWICE.call(vm, memTrack, { rcx: vm.address(vm.tdr) });
    yield* kickAll(vm);
  },
};

export const hostPriority: Policy = {
  ...frozenMirror,
  name: 'host-priority',
  group: 'question',
  title: "a call that is busy is repeated once, relying on the module's host priority",
  proposed:
    "the TDX module's host priority taken as the answer to BUSY (P9; thread, messages 2 and 4)",
  breaks: [
    {
      rule: 'S01',
      rare: true,
      why: 'epoch and tree have no priority: the second try is busy as well',
    },
  ],
  ...zappingBy((vm, place, at) => zapLeaf(vm, place, at, TWICE)),
};

export default hostPriority;
