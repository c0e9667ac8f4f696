/**
 * B-53: a memslot deletion zaps every private leaf. The guest finds pages of other slots pending,
 * and empty.
 */
import { demotePage } from '../blocks/resize.ts';
import { removeSlotUnder, zapLeaves } from '../blocks/zap.ts';
import { upstream616 } from '../policies/upstream-6.16.ts';
import { mutant } from './mutant.ts';

export default mutant({
  id: 'B-53',
  title: 'A memslot deletion zaps private pages of other memslots',
  source: 'KVM_X86_QUIRK_SLOT_ZAP_ALL by default on TDs (design before 6.14)',
  base: upstream616,
  breaks: ['K50'],
  change: {
    *removeSlot(vm) {
      yield* removeSlotUnder(vm, () => zapLeaves(vm, 0, vm.sizes.guestPages, demotePage));
    },
  },
});
