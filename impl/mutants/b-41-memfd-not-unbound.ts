/** B-41: releasing the file writes to the freed slot. */
import { directMutant } from './mutant.ts';

export default directMutant({
  id: 'B-41',
  title: 'A memslot stays bound to a guest_memfd that is being closed',
  source: 'Linux 6.8 to 6.18-rc, kvm_gmem_unbind()',
  breaks: ['K22'],
  change: {
    *unbindMemfd(kvm, slot) {
      if (yield* kvm.memfd.isOpen()) yield* kvm.memfd.unbind(slot);
    },
  },
});
