/**
 * zap-all-leaves: a way to delete a memslot of a TD that was not merged (P12x). It zaps all private
 * pages, those of other slots included (K50): the guest has accepted them, and finds them pending
 * and empty (B-53).
 */
import { demotePage } from '../blocks/resize.ts';
import { removeSlotUnder, zapLeaves } from '../blocks/zap.ts';
import type { Policy } from '../vm/policy.ts';
import { frozenMirror } from './frozen-mirror.ts';

export const zapAllLeaves: Policy = {
  ...frozenMirror,
  name: 'zap-all-leaves',
  group: 'superseded',
  title: 'zap every private page when a memslot is deleted',
  proposed:
    'KVM_X86_QUIRK_SLOT_ZAP_ALL, before the patch "Force TDX VMs to zap leafs" (Linux 6.14)',
  breaks: [
    { rule: 'K50', why: 'pages of other slots, which the guest has accepted, are zapped too' },
  ],
  *removeSlot(vm) {
    yield* removeSlotUnder(vm, () => zapLeaves(vm, 0, vm.sizes.guestPages, demotePage));
  },
};

export default zapAllLeaves;
