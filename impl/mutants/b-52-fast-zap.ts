/**
 * B-52: a memslot is deleted as in an ordinary VM, by invalidating direct roots; the mirror keeps
 * its leaves.
 */
import { removeSlotUnder } from '../blocks/zap.ts';
import { upstream616 } from '../policies/upstream-6.16.ts';
import { mutant } from './mutant.ts';

export default mutant({
  id: 'B-52',
  title: 'A memslot deletion leaves private pages mapped, and frees them',
  source: 'fixed by "KVM: x86/mmu: force TDX VMs to zap leafs" (before 6.14)',
  base: upstream616,
  breaks: ['K50', 'K22', 'K43'],
  change: {
    *removeSlot(vm) {
      yield* removeSlotUnder(vm, function* () {});
    },
  },
});
