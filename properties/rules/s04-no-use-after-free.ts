import { VM_KINDS } from '../../impl/vm/vm.ts';
import { DOUBLE_FREE, USE_AFTER_FREE } from '../../spec/machine/faults.ts';
import type { VmRule } from './rule.ts';

export default {
  id: 'S04',
  level: 'required',
  statement: 'No kernel page is used after it is freed, and none is freed twice.',
  source:
    'Linux, arch/x86/kvm/mmu/tdp_mmu.c: tdp_mmu_free_sp_rcu_callback(), handle_removed_pt(); ' +
    'see K5, K16 and K51',
  intent:
    'A freed table is reused at once: a walk that still reads it follows entries of another owner.',
  hint:
    'Check that the walk is in an RCU read section or holds mmu_lock, and that tables are freed ' +
    'after a grace period, once.',
  versions: ['*'],
  vms: VM_KINDS,
  faults: [USE_AFTER_FREE.id, DOUBLE_FREE.id],
  atRest: (_vm, report) => report.exercised(),
} satisfies VmRule;
