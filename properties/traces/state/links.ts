/** What linking and unlinking a table makes of it. */
import type { Change } from './change.ts';
import { frameOf, LEAF, LEAF_LEVEL, pagesAt } from './spte.ts';
import { PREFILLED, type Table } from './table.ts';
import { SHARED } from './task.ts';
import type { World } from './world.ts';

const PAGE_BITS = 12;

/** An entry comes to point to a table: that is where it is, and what it holds from now on. */
export function link(world: World, c: Change): void {
  const { kernel } = world;
  if (kernel === null) return;
  const below = c.level - 1;
  const frame = frameOf(c.newHi, c.newLo);
  const before = world.tables.get(frame);
  if (before !== undefined && !before.isLive) world.drop(before);
  const child = world.found(frame, c.vm, c.asId, below, c.gfn);
  // without names, this is the first that is heard of it
  if (!kernel.namesTables) {
    child.fill(kernel.layout.empty);
    child.initialisedLine = c.line;
  }
  child.asId = c.asId;
  child.level = below;
  child.base = c.gfn;
  child.root = c.table?.root ?? null;
  child.life = 'linked';
  child.linkedLine = c.line;
  if (c.oldKind === LEAF) prefill(child, c, kernel.layout.large.lo, world.entries);
  // what changes in it cannot be told from what changes elsewhere
  if (c.table === null && !kernel.changesNameTables) child.forget();
}

/**
 * A split fills in the pages that the huge leaf mapped, before the table is linked and without an
 * event.
 */
function prefill(child: Table, { oldHi, oldLo }: Change, large: number, entries: number): void {
  const pages = pagesAt(child.level);
  const low = child.level === LEAF_LEVEL ? oldLo & ~large : oldLo;
  for (let i = 0; i < entries; i++) {
    // whoever met the table before the event of its linking has written already
    if ((child.lines[i] ?? 0) > 0) continue;
    const frame = (low >>> PAGE_BITS) + i * pages;
    child.lo[i] = (low & (2 ** PAGE_BITS - 1)) | (frame << PAGE_BITS);
    child.hi[i] = oldHi + Math.floor(frame / 2 ** 20);
    child.known[i] = PREFILLED;
  }
}

/** An entry points to a table no more: whoever did that goes through what it held. */
export function unlink(world: World, c: Change): void {
  const child = world.tables.get(frameOf(c.oldHi, c.oldLo));
  if (child === undefined) return;
  child.life = 'removed';
  child.removedLine = c.line;
  child.removedBy = c.task;
  child.removedShared = c.mode === SHARED;
  c.task.removing.push(child);
}
