/** B-16: an access beyond host.MAXPHYADDR installs an MMIO entry. */
import { RET_CONTINUE, RET_EMULATE } from '../../spec/kvm/kvm.ts';
import { tdpMmu } from '../tdp-mmu/index.ts';
import { directMutant } from './mutant.ts';

export default directMutant({
  id: 'B-16',
  title: 'A fault installs entries for GFNs that zap-all does not reach',
  source: 'Linux, commit 86931ff7207b',
  breaks: ['K36', 'K22'],
  change: {
    *faultinPfn(kvm, vcpu, fault) {
      const result = yield* tdpMmu.faultinPfn.call(this, kvm, vcpu, fault);
      return result === RET_EMULATE ? RET_CONTINUE : result;
    },
  },
});
