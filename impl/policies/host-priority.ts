/**
 * host-priority (P9): a zap that is refused an entry relies on the module's host priority (bit 52
 * of an entry): the second attempt has to succeed, as no guest gets the entry in between.
 *
 * What it breaks: only entries have host priority. VP.ENTER holds the epoch against TRACK and, with
 * zero-step mitigation armed, the tree against BLOCK, and neither lock has priority. A guest that
 * holds the entry already is not stopped either.
 */
import { memTrack } from '../../spec/tdx/functions/mem-track.ts';
import { OPERAND_BUSY } from '../../spec/tdx/status.ts';
import { kickAll } from '../blocks/seamcalls.ts';
import { zapLeaf, type Zap, zappingBy } from '../blocks/zap.ts';
import type { Policy } from '../vm/policy.ts';
import { isStatus } from '../vm/vm.ts';
import { frozenMirror } from './frozen-mirror.ts';

/** Two attempts, one directly after the other. */
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
  title: "repeat a busy call once, relying on the module's host priority",
  proposed:
    "the TDX module's host priority as the only answer to BUSY (P9; thread, messages 2 and 4)",
  breaks: [
    {
      rule: 'S01',
      rare: true,
      why: 'epoch and tree have no host priority: the second attempt is busy as well',
    },
  ],
  ...zappingBy((vm, place, at) => zapLeaf(vm, place, at, TWICE)),
};

export default hostPriority;
