/**
 * B-52: a memslot is deleted as an ordinary VM's is, by invalidating direct roots; the mirror keeps
 * its leaves.
 */
import { removeSlotUnder } from '../blocks/zap.ts';
import { upstream616 } from '../policies/upstream-6.16.ts';
import { mutant } from './mutant.ts';

export default mutant({
  id: 'B-52',
  title:
    'Fast zap on memslot deletion leaves private mappings: the page is freed while the TD maps it',
  source: 'fixed by "KVM: x86/mmu: force TDX VMs to zap leafs" (before 6.14)',
  base: upstream616,
  breaks: ['K50', 'K22', 'K43'],
  change: {
    *removeSlot(vm) {
      yield* removeSlotUnder(vm, function* () {});
    },
  },
});
