/**
 * Two ways to delete a memslot of a TD that were not merged (P12x). Ordinary VMs zap everything
 * when a memslot goes (KVM_X86_QUIRK_SLOT_ZAP_ALL), which is cheap for them, as everything can be
 * faulted in again.
 *
 * fast-zap does what that quirk does: it invalidates the direct roots, and never looks at the
 * mirror. The slot's private pages stay mapped (K50), and once nobody knows which GFN they were
 * for, their file gives them to somebody else (B-52).
 *
 * zap-all-leaves takes all private pages instead, those of other slots, too (K50): the guest has
 * accepted them, and finds them pending and empty (B-53).
 *
 * What was merged is leaves of exactly the slot (P12): frozen-mirror and the upstream policies.
 */
import { demotePage } from '../blocks/resize.ts';
import { removeSlotUnder, zapLeaves } from '../blocks/zap.ts';
import type { Policy } from '../vm/policy.ts';
import { GUEST_PAGES } from '../vm/size.ts';
import { frozenMirror } from './frozen-mirror.ts';

const PROPOSED =
  'KVM_X86_QUIRK_SLOT_ZAP_ALL, before the patch "Force TDX VMs to zap leafs" (Linux 6.14)';

export const fastZap: Policy = {
  ...frozenMirror,
  name: 'fast-zap',
  title: 'a memslot is deleted by invalidating direct roots; the mirror is left alone',
  proposed: PROPOSED,
  breaks: [{ rule: 'K50', why: 'private pages of the deleted slot stay mapped' }],
  *removeSlot(vm) {
    yield* removeSlotUnder(vm, function* () {});
  },
};

export const zapAllLeaves: Policy = {
  ...frozenMirror,
  name: 'zap-all-leaves',
  title: 'every private page goes when a memslot is deleted',
  proposed: PROPOSED,
  breaks: [{ rule: 'K50', why: 'pages of other slots, which the guest has accepted, go with it' }],
  *removeSlot(vm) {
    yield* removeSlotUnder(vm, () => zapLeaves(vm, 0, GUEST_PAGES, demotePage));
  },
};

export default fastZap;
