/** B-66: guest_memfd splits the folio first, and notifies KVM afterwards. */
import { hugePagesV5 } from '../policies/huge-pages-v5.ts';
import { mutant } from './mutant.ts';

export default mutant({
  id: 'B-66',
  title: 'A folio is split while it is still mapped large',
  source: 'guest_memfd: "Zap mappings before splitting backend folios" (fixup, 2025)',
  base: hugePagesV5,
  breaks: ['K67', 'K22'],
  change: {
    *splitFolio(vm, gfn) {
      yield* vm.guestMemory.folios.split(gfn);
      yield* hugePagesV5.demote(vm, gfn);
    },
  },
});
