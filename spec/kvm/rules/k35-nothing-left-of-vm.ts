import { tableName } from './reachable-tables.ts';
import type { KvmRule } from './rule.ts';

export default {
  id: 'K35',
  level: 'required',
  statement:
    'When the VM has been destroyed, no root is listed and every page that KVM allocated is freed.',
  source: 'Linux, arch/x86/kvm/mmu/tdp_mmu.c: kvm_mmu_uninit_tdp_mmu()',
  intent: 'A root that is left leaks its tables and keeps referring to guest pages.',
  hint:
    'Look at teardown: zap and put every root, wait for RCU callbacks, free memslots and vCPUs; ' +
    'the report names the first page that is left.',
  versions: ['*'],
  atEnd: ({ pages, roots }, report) => {
    report.exercised();
    const left = roots.all();
    if (left.length > 0)
      return report.violated('no root listed', `root ${left.map(tableName).join(', ')} is`);
    const leaked = pages.leaks();
    if (leaked.length > 0)
      report.violated('every kernel page freed', `page ${leaked.join(', ')} still allocated`);
  },
} satisfies KvmRule;
