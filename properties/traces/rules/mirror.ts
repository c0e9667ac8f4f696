/** A TD's mirror: its changes, its leaves, and KVM's hooks that change the Secure EPT. */
import type { CallName } from '../reader/event-table.ts';
import type { Change } from '../state/change.ts';
import { frameOf, kindOf, LEAF, pagesAt, TABLE } from '../state/spte.ts';
import { KNOWN } from '../state/table.ts';
import type { Task } from '../state/task.ts';
import type { Tds } from '../tdx/follow.ts';
import { keyOf, type Entry, type Key, type Td } from '../tdx/td.ts';

/** Calls that make an entry of the Secure EPT present. */
export const ADDS: ReadonlySet<CallName> = new Set([
  'tdh_mem_sept_add',
  'tdh_mem_page_aug',
  'tdh_mem_page_add',
]);

/** KVM's hooks that make such a call: one hook since 7.2, two before. */
export const HOOKS = ['tdx_sept_set_private_spte', 'tdx_sept_link_private_spt'] as const;

/** Returns of the hooks. */
export const HOOKS_END = [
  'tdx_sept_set_private_spte_ret',
  'tdx_sept_link_private_spt_ret',
] as const;

/** Why a rule is not judged that compares the mirror with the Secure EPT. */
export const ENTRY_UNKNOWN = 'the trace does not show what the Secure EPT held at its start';

/** Calls `listener` for each change of a mirror that is not reported late. */
export function onMirrorChange(tds: Tds, listener: (c: Change, td: Td) => void): void {
  tds.world.listeners.changing.push((c) => {
    if (c.table?.mirror === true && c.fit !== 'late') listener(c, tds.of(c.vm));
  });
}

/**
 * Entry of the mirror for which each task is in a hook of KVM. Meanwhile the entry is FROZEN, or
 * the task holds mmu_lock for write.
 */
export function followHooks({ world }: Tds): ReadonlyMap<Task, Key> {
  const inHook = new Map<Task, Key>();
  world.on(HOOKS, (e, task) => inHook.set(task, keyOf(e.number('gfn'), e.low('level'))));
  world.on(HOOKS_END, (_, task) => inHook.delete(task));
  world.listeners.forgetting.push(() => inHook.clear());
  return inHook;
}

/** The entry of the Secure EPT holds what the change writes to the mirror. */
export function agrees(c: Change, { holds, frame, blockedIn }: Entry): boolean {
  if (blockedIn >= 0) return false;
  if (c.newKind === TABLE) return holds === 'table';
  return holds === 'leaf' && (frame < 0 || frame === frameOf(c.newHi, c.newLo));
}

/** The changed entry maps `gfn`. */
export const covers = (c: Change, gfn: number): boolean =>
  gfn >= c.gfn && gfn < c.gfn + pagesAt(c.level);

/** A leaf of the mirror in a range, or null. Leaves that only a split filled in do not count. */
export function mirrorLeafIn({ world }: Tds, td: Td, start: number, end: number): Key | null {
  const layout = world.kernel?.layout;
  if (layout === undefined) return null;
  for (const table of td.vm.tables) {
    if (!table.mirror || !table.isLive || table.life === 'initialised') continue;
    const [first, last] = table.span(start, end);
    for (let i = first; i <= last; i++) {
      if (table.known[i] !== KNOWN) continue;
      if (kindOf(layout, table.level, table.hi[i] ?? 0, table.lo[i] ?? 0) === LEAF)
        return keyOf(table.gfnOf(i), table.level);
    }
  }
  return null;
}
