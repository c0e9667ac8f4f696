/** Updates tables when an entry begins or ceases to point to them. */
import type { Change } from './change.ts';
import { frameOf, LEAF, LEAF_LEVEL, pagesAt } from './spte.ts';
import { PREFILLED, Table } from './table.ts';
import { SHARED } from './task.ts';
import type { World } from './world.ts';

const PAGE_BITS = 12;

/** The changed entry points to a table: sets the table's position, root and known entries. */
export function link(world: World, c: Change): void {
  const { kernel } = world;
  if (kernel === null) return;
  const below = c.level - 1;
  const frame = frameOf(c.newHi, c.newLo);
  const before = world.tables.get(frame);
  if (before !== undefined && !before.isLive) world.drop(before);
  const child = world.tableAt(frame, c.vm, c.asId, below, c.gfn);
  // without init_sp, this is the first event about the table
  if (!kernel.namesTables) {
    child.fill(kernel.layout.empty);
    child.initialise(c.line);
  }
  child.asId = c.asId;
  child.level = below;
  child.base = c.gfn;
  child.root = c.table?.root ?? null;
  child.link(c.line);
  if (c.oldKind === LEAF) prefill(child, c, kernel.layout.large.lo, world.entries);
  // its changes cannot be distinguished from changes in other tables
  if (c.table === null && !kernel.changesNameTables) child.forget();
}

/** Sets the entries that a split filled in before it linked the table, without an event. */
function prefill(child: Table, { oldHi, oldLo }: Change, large: number, entries: number): void {
  const pages = pagesAt(child.level);
  const low = child.level === LEAF_LEVEL ? oldLo & ~large : oldLo;
  for (let i = 0; i < entries; i++) {
    // another task used the table before the event of its linking, and has written this entry
    if ((child.lines[i] ?? 0) > 0) continue;
    const frame = (low >>> PAGE_BITS) + i * pages;
    child.lo[i] = (low & (2 ** PAGE_BITS - 1)) | (frame << PAGE_BITS);
    child.hi[i] = oldHi + Math.floor(frame / 2 ** 20);
    child.known[i] = PREFILLED;
  }
}

/** The changed entry no longer points to a table: its task walks the removed table next. */
export function unlink(world: World, c: Change): void {
  // a table that is older than the trace: without it, its entries would be taken for another's
  const child =
    world.tables.get(frameOf(c.oldHi, c.oldLo)) ??
    new Table(world.namelessFrame(), c.vm, c.asId, c.level - 1, c.gfn);
  child.remove(c.line, c.task, c.mode === SHARED);
  c.task.removing.push(child);
}
