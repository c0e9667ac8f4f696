import { tableName } from './reachable-tables.ts';
import type { KvmRule } from './rule.ts';

/** More than the number of any page, so that actor and root fit into one key. */
const ROOTS = 0x40_0000;

export default {
  id: 'K29',
  level: 'required',
  statement:
    'A walk that yields holds its own reference to its root, and never continues from a root ' +
    'that is gone.',
  source: 'Linux, arch/x86/kvm/mmu/tdp_mmu.c: tdp_mmu_next_root(); commit 7533377215b6',
  intent:
    'While mmu_lock is dropped the last other reference can be put: the walk would continue in a ' +
    'freed table.',
  hint:
    'Look at the iteration over roots: it takes a reference to the next root before it puts the ' +
    'one it is in, and keeps it across yields.',
  versions: ['*'],
  watch: ({ listeners, m, roots }, report) => {
    const held = new Map<number, number>();
    m.clearOnReset(held);
    const keyOf = (root: number): number => (m.current + 1) * ROOTS + root;
    const change = (root: number, by: number): void => {
      // an actor that has zapped a root puts the MMU's reference, which it never got
      held.set(keyOf(root), Math.max(0, (held.get(keyOf(root)) ?? 0) + by));
    };
    roots.listeners.push({ got: (root) => change(root, 1), dropped: (root) => change(root, -1) });
    listeners.push({
      yielding: ({ root }) => {
        report.exercised();
        if ((held.get(keyOf(root)) ?? 0) > 0) return;
        report.violated(`a reference to root ${tableName(root)}`, 'the walk yields without one');
      },
    });
  },
} satisfies KvmRule;
