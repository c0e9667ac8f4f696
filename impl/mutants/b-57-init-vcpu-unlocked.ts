/**
 * B-57: INIT_VCPU holds only its vcpu->mutex; SEAMCALLs of other ioctls take the TDR exclusively
 * meanwhile.
 */
import { createVcpu, holding } from '../blocks/build.ts';
import { upstream619 } from '../policies/upstream-6.19.ts';
import { mutant } from './mutant.ts';

export default mutant({
  id: 'B-57',
  title: 'VP.CREATE meets MR.EXTEND or MR.FINALIZE, and its BUSY kills the VM',
  source: 'fixed by commit 15945e9ec195 (6.19); aLFiPq1smdzN3Ary@yzhao56-desk.sh.intel.com',
  base: upstream619,
  breaks: ['K63'],
  change: {
    *initVcpu(vm, vcpu) {
      yield* holding(
        vm.td.vcpuMutexes.filter((_, i) => i === vcpu.index),
        () => createVcpu(vm, vcpu),
      );
    },
  },
});
