/** Which table a change is in, where the kernel does not say. */
import { ROOT_LEVEL } from './addresses.ts';
import type { Change } from './change.ts';
import { EMPTY, FROZEN, frameOf, indexOf, kindOf, TABLE } from './spte.ts';
import { Table, UNKNOWN } from './table.ts';
import type { World } from './world.ts';

/** The table of `level` that `gfn` is reached through from `root`; null when that is not known. */
export function tableIn(world: World, root: Table, gfn: number, level: number): Table | null {
  let table: Table | null = root;
  while (table !== null && table.level > level) {
    const i = indexOf(gfn, table.level);
    const hi: number = table.hi[i] ?? 0;
    const lo: number = table.lo[i] ?? 0;
    const layout = world.kernel?.layout;
    if (
      layout === undefined ||
      table.known[i] === UNKNOWN ||
      kindOf(layout, table.level, hi, lo) !== TABLE
    )
      return null;
    table = world.tables.get(frameOf(hi, lo)) ?? null;
  }
  return table?.level === level ? table : null;
}

/** The table that `c` is in; null when that cannot be told. */
export function resolve(world: World, c: Change): Table | null {
  const { task, vm, gfn, level, asId } = c;
  const removed = task.removing.findLast((table) => table.level === level && table.covers(gfn));
  if (c.newKind === FROZEN && removed !== undefined) return removed;
  if (task.walk !== null && task.walk.vm === vm && task.walk.asId === asId) {
    const table = tableIn(world, task.walk, gfn, level);
    if (table !== null || !vm.seenFromStart) return table;
  }
  // what is not found is in a table that the task takes apart, and does not treat as it should
  const best =
    bestOf(world, c) ?? newRoot(world, c) ?? (vm.seenFromStart ? (removed ?? null) : null);
  // where roots have no names, this is how their addresses become known
  if (task.walkSp !== 0 && c.oldKind !== EMPTY && best?.root != null) {
    vm.rootsBySp.set(task.walkSp, best.root);
    task.walk = best.root;
  }
  return best;
}

/**
 * Of the roots of the address space the one whose entry has the old value; the newest when several
 * or none have.
 */
function bestOf(world: World, c: Change): Table | null {
  const faulting = c.task.mapLine > 0;
  if (!c.vm.seenFromStart) return faulting ? newestOf(world, c) : null;
  let [best, bestScore]: [Table | null, number] = [null, -1];
  for (const root of c.vm.roots) {
    if (root.asId !== c.asId || (faulting && root.invalid)) continue;
    const table = tableIn(world, root, c.gfn, c.level);
    if (table === null) continue;
    const score = likeness(table, indexOf(c.gfn, c.level), c, world.kernel?.layout.adType.hi ?? 0);
    if (score > bestScore) [best, bestScore] = [table, score];
  }
  return best;
}

/**
 * A VM that was there before the trace may have roots that are not known; but a fault goes to the
 * newest.
 */
function newestOf(world: World, c: Change): Table | null {
  const root = c.vm.roots.find(({ asId, invalid }) => asId === c.asId && !invalid);
  return root === undefined || root.initialisedLine === 0
    ? null
    : tableIn(world, root, c.gfn, c.level);
}

/** `adType`: the bits of the upper half that say how A and D are kept. */
function likeness(table: Table, i: number, c: Change, adType: number): number {
  if (table.known[i] === UNKNOWN) return 1;
  if (table.hi[i] === c.oldHi && table.lo[i] === c.oldLo) return 3;
  if (
    c.oldKind === EMPTY ||
    frameOf(table.hi[i] ?? 0, table.lo[i] ?? 0) !== frameOf(c.oldHi, c.oldLo)
  )
    return 0;
  // two roots of an address space may differ in whether the hardware keeps A and D bits in their tables
  return (((table.hi[i] ?? 0) ^ c.oldHi) & adType) === 0 ? 2 : 0;
}

/** Where tables have no names, a root is known from its first entry. */
function newRoot(world: World, c: Change): Table | null {
  const { kernel } = world;
  if (kernel === null || kernel.namesTables || c.level < ROOT_LEVEL || c.oldKind !== EMPTY)
    return null;
  if (c.vm.roots.some((root) => root.asId === c.asId && !root.invalid)) return null;
  const root = world.add(new Table(world.namelessFrame(), c.vm, c.asId, c.level, 0));
  root.fill(kernel.layout.empty);
  root.life = 'linked';
  root.initialisedLine = c.line;
  world.makeRoot(root);
  return root;
}
