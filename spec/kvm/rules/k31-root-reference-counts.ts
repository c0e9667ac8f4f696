import { tableName } from './reachable-tables.ts';
import type { KvmRule } from './rule.ts';

export default {
  id: 'K31',
  level: 'required',
  statement:
    "A new root has two references, the vCPU's and the MMU's; the last reference is put once, " +
    'and only when the root is invalid.',
  source: 'Linux, arch/x86/kvm/mmu/tdp_mmu.c: kvm_tdp_mmu_alloc_root(), kvm_tdp_mmu_put_root()',
  intent:
    'A missing reference frees a root that vCPUs still find in the list; an extra one leaks it.',
  hint:
    'Count gets and puts on each path; the reference that the MMU itself holds is put only by ' +
    'the task that zaps the invalid root.',
  versions: ['*'],
  watch: ({ roots }, report) => {
    roots.listeners.push({
      linked: (root, references) => {
        report.exercised();
        if (references !== 2)
          report.violated(`2 references to new root ${tableName(root)}`, String(references));
      },
      dropped: (root, left) => {
        report.exercised();
        if (left < 0)
          report.violated(`as many puts of root ${tableName(root)} as gets`, 'one more');
        else if (left === 0 && !roots.isInvalid(root))
          report.violated(`root ${tableName(root)} invalid at its last put`, 'it is valid');
      },
    });
  },
} satisfies KvmRule;
