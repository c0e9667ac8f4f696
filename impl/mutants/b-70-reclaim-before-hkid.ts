/** B-70: the TD's HKID is still assigned, and caches hold its lines. */
import { demotePage } from '../blocks/resize.ts';
import {
  flushVcpus,
  freeHkid,
  reclaimPages,
  reclaimTdr,
  writeBackCaches,
} from '../blocks/teardown.ts';
import { zapAll } from '../blocks/zap.ts';
import { upstream616 } from '../policies/upstream-6.16.ts';
import { mutant } from './mutant.ts';

export default mutant({
  id: 'B-70',
  title: 'Pages of the TD are reclaimed before caches are written back and the HKID is freed',
  source:
    'Linux, arch/x86/kvm/vmx/tdx.c: tdx_sept_free_private_spt(), KVM_BUG_ON(is_hkid_assigned())',
  base: upstream616,
  breaks: ['K62', 'K48'],
  change: {
    *destroy(vm) {
      yield* zapAll(vm, demotePage);
      yield* flushVcpus(vm);
      yield* reclaimPages(vm);
      yield* writeBackCaches(vm);
      yield* freeHkid(vm);
      yield* reclaimTdr(vm);
    },
  },
});
