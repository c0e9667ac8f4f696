/** B-33: a fault that looked its page up before installs it afterwards. */
import { directMutant } from './mutant.ts';

export default directMutant({
  id: 'B-33',
  title: 'A zap inside KVM is not an invalidation',
  source: 'Linux 5.15, kvm_zap_gfn_range(); fixed by edb298c663fc',
  breaks: ['K39'],
  change: {
    *beginZap() {},
    *endZap() {},
  },
});
