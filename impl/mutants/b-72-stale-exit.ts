/** B-72: an entry abandoned because of wait_for_sept_zap leaves the previous exit reason behind. */
import { callEnter } from '../blocks/entry.ts';
import { upstream616 } from '../policies/upstream-6.16.ts';
import { mutant } from './mutant.ts';

export default mutant({
  id: 'B-72',
  title: 'An early return before TDH.VP.ENTER makes KVM handle the last exit twice',
  source: 'fixed by commit e5f1d62c59ae (2026); Linux 6.16, arch/x86/kvm/vmx/tdx.c: tdx_vcpu_run()',
  base: upstream616,
  breaks: ['K57'],
  change: {
    *enter(vm, vcpu) {
      yield* vcpu.kvm.enter();
      if ((yield* vm.m.read(vm.noEntry)) === 0) {
        vcpu.exit.clear();
        if (yield* callEnter(vm, vcpu)) return true;
      }
      yield* vcpu.kvm.leave();
      return false;
    },
  },
});
