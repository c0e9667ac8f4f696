/** Finds the table of a change whose event does not name it. */
import { ROOT_LEVEL } from './addresses.ts';
import type { Change } from './change.ts';
import { EMPTY, FROZEN, frameOf, indexOf, kindOf, LEAF, TABLE, type Kind } from './spte.ts';
import { Table, UNKNOWN } from './table.ts';
import type { World } from './world.ts';

/** Kind of the entry of `table` for `gfn`; null when it is not known. */
export function kindIn(world: World, table: Table, gfn: number): Kind | null {
  const i = indexOf(gfn, table.level);
  const layout = world.kernel?.layout;
  if (layout === undefined || table.known[i] === UNKNOWN) return null;
  return kindOf(layout, table.level, table.hi[i] ?? 0, table.lo[i] ?? 0);
}

/** The table that the entry of `table` for `gfn` points to; null when it is not known. */
function below(world: World, table: Table, gfn: number): Table | null {
  const i = indexOf(gfn, table.level);
  return world.tables.get(frameOf(table.hi[i] ?? 0, table.lo[i] ?? 0)) ?? null;
}

/** Returns the table of `level` that the walk from `root` for `gfn` passes; null when not known. */
function tableIn(world: World, root: Table, gfn: number, level: number): Table | null {
  let table: Table | null = root;
  while (table !== null && table.level > level) {
    if (kindIn(world, table, gfn) !== TABLE) return null;
    table = below(world, table, gfn);
  }
  return table?.level === level ? table : null;
}

/** Returns the table whose leaf maps `gfn` under `root`; null when it is not known. */
export function leafTable(world: World, root: Table, gfn: number): Table | null {
  let table: Table | null = root;
  while (table !== null && kindIn(world, table, gfn) === TABLE) table = below(world, table, gfn);
  return table !== null && kindIn(world, table, gfn) === LEAF ? table : null;
}

/** Returns the table that `c` is in; null when it is not known. */
export function resolve(world: World, c: Change): Table | null {
  const { task, vm, gfn, level, asId } = c;
  const removed = task.removing.findLast((table) => table.level === level && table.covers(gfn));
  if (c.newKind === FROZEN && removed !== undefined) return removed;
  if (task.walk !== null && task.mapLine > 0) stateBy(task.walk, c);
  if (task.walk !== null && task.walk.vm === vm && task.walk.asId === asId) {
    const table = tableIn(world, task.walk, gfn, level);
    if (table !== null || !vm.seenFromStart) return table;
  }
  // otherwise the table is one that the task has removed, and from which it does not zap to FROZEN
  const best =
    bestOf(world, c) ?? newRoot(world, c) ?? (vm.seenFromStart ? (removed ?? null) : null);
  // where no event names the tables of roots, this links their addresses to them
  if (task.walkSp !== 0 && c.oldKind !== EMPTY && best?.root != null) {
    vm.rootsBySp.set(task.walkSp, best.root);
    task.walk = best.root;
  }
  return best;
}

/** A fault changes entries of its root's address space, and none above the root's level. */
function stateBy(root: Table, { level, asId }: Change): void {
  root.state(Math.max(level, root.level), asId);
}

/**
 * Returns the table under the root of the address space whose entry has the old value; under the
 * newest root when several or none have it.
 */
function bestOf(world: World, c: Change): Table | null {
  const faulting = c.task.mapLine > 0;
  if (!c.vm.seenFromStart) return faulting ? newestOf(world, c) : null;
  let [best, bestScore]: [Table | null, number] = [null, -1];
  for (const root of c.vm.roots) {
    if (root.asId !== c.asId || (faulting && root.invalid)) continue;
    const table = tableIn(world, root, c.gfn, c.level);
    if (table === null) continue;
    const score = similarity(
      table,
      indexOf(c.gfn, c.level),
      c,
      world.kernel?.layout.adType.hi ?? 0,
    );
    if (score > bestScore) [best, bestScore] = [table, score];
  }
  return best;
}

/**
 * Returns the table under the newest valid root, which faults walk. A VM that is older than the
 * trace may have roots that are not known, so null unless the newest one is.
 */
function newestOf(world: World, c: Change): Table | null {
  const root = c.vm.roots.find(({ asId, invalid }) => asId === c.asId && !invalid);
  return root === undefined || root.initialisedLine === 0
    ? null
    : tableIn(world, root, c.gfn, c.level);
}

/**
 * Rates how well an entry matches the old value of `c`, 0 to 3. `adType`: bits of the upper half
 * that encode how A and D are kept.
 */
function similarity(table: Table, i: number, c: Change, adType: number): number {
  if (table.known[i] === UNKNOWN) return 1;
  if (table.hi[i] === c.oldHi && table.lo[i] === c.oldLo) return 3;
  if (
    c.oldKind === EMPTY ||
    frameOf(table.hi[i] ?? 0, table.lo[i] ?? 0) !== frameOf(c.oldHi, c.oldLo)
  )
    return 0;
  // two roots of an address space may differ in whether the hardware keeps A and D in their tables
  return (((table.hi[i] ?? 0) ^ c.oldHi) & adType) === 0 ? 2 : 0;
}

/** Adds a root at the change of its first entry, where no event names tables. */
function newRoot(world: World, c: Change): Table | null {
  const { kernel } = world;
  if (kernel === null || kernel.namesTables || c.level < ROOT_LEVEL || c.oldKind !== EMPTY)
    return null;
  if (c.vm.roots.some((root) => root.asId === c.asId && !root.invalid)) return null;
  const root = world.add(new Table(world.namelessFrame(), c.vm, c.asId, c.level, 0));
  root.fill(kernel.layout.empty);
  root.initialise(c.line);
  root.link();
  world.makeRoot(root);
  return root;
}
