import type { KvmRule } from './rule.ts';

export default {
  id: 'K7',
  level: 'required',
  statement:
    'The shadow MMU, including its reclaim of pages and its unsync counts, is used only with ' +
    'mmu_lock held for write.',
  source: 'Linux, commits 47b0c2e4c220 and ce25681d59ff',
  intent:
    "The shadow MMU's lists and counts have no protection against two tasks that hold mmu_lock " +
    'for read.',
  hint:
    'Look at the callers of the shadow MMU, such as make_mmu_pages_available() and ' +
    'mmu_try_to_unsync_pages(): is one on a path that holds mmu_lock for read?',
  versions: ['*'],
  watch: ({ m, mmuLock, shadow }, report) => {
    shadow.listeners.push({
      used: (what) => {
        report.exercised();
        if (!mmuLock.heldForWrite(m.current))
          report.violated('mmu_lock held for write', `${what} without it`);
      },
    });
  },
} satisfies KvmRule;
