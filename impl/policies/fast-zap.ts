/**
 * fast-zap: a way to delete a memslot of a TD that was not merged (P12x). It does what
 * KVM_X86_QUIRK_SLOT_ZAP_ALL does for ordinary VMs: it invalidates the direct roots, which is cheap
 * because everything can be faulted in again. It never looks at the mirror.
 *
 * What it breaks: the slot's private pages stay mapped (K50), and once nothing records which GFN
 * they were for, their file gives them to another user (B-52).
 *
 * What was merged zaps the leaves of exactly the slot (P12): frozen-mirror and the upstream
 * policies.
 */
import { removeSlotUnder } from '../blocks/zap.ts';
import type { Policy } from '../vm/policy.ts';
import { frozenMirror } from './frozen-mirror.ts';

export const fastZap: Policy = {
  ...frozenMirror,
  name: 'fast-zap',
  group: 'superseded',
  title: 'delete a memslot by invalidating direct roots, and leave the mirror alone',
  proposed:
    'KVM_X86_QUIRK_SLOT_ZAP_ALL, before the patch "Force TDX VMs to zap leafs" (Linux 6.14)',
  breaks: [{ rule: 'K50', why: 'private pages of the deleted slot stay mapped' }],
  *removeSlot(vm) {
    yield* removeSlotUnder(vm, function* () {});
  },
};

export default fastZap;
