/** B-59: KVM_CREATE_VCPU fails after it has loaded the vCPU, which stays on the list when freed. */
import { freeStruct } from '../blocks/vcpu-list.ts';
import { upstream616 } from '../policies/upstream-6.16.ts';
import { mutant } from './mutant.ts';

export default mutant({
  id: 'B-59',
  title: "A vCPU is freed while it is on its processor's list of vCPUs",
  source: 'fixed by commit 1e3a825c9ec9 (6.19)',
  base: upstream616,
  breaks: ['K62'],
  change: {
    *freeVcpu(vm, struct) {
      yield* freeStruct(vm, struct);
    },
  },
});
