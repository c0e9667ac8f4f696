/** B-41: the release of the file writes to the slot that is gone. */
import { directMutant } from './mutant.ts';

export default directMutant({
  id: 'B-41',
  title: 'A slot whose guest_memfd is being closed keeps its binding',
  source: 'Linux 6.8 to 6.18-rc, kvm_gmem_unbind()',
  breaks: ['K22'],
  change: {
    *unbindMemfd(kvm, slot) {
      if (yield* kvm.memfd.isOpen()) yield* kvm.memfd.unbind(slot);
    },
  },
});
