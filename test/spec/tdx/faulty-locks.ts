/** Modules with one thing changed about their locks, each of which breaks one rule. */
import type { Cell, Machine } from '../../../spec/machine/machine.ts';
import type { Memory } from '../../../spec/machine/memory.ts';
import { HELD_TREE } from '../../../spec/tdx/call.ts';
import { pageAdd } from '../../../spec/tdx/functions/page-add.ts';
import { pageAug } from '../../../spec/tdx/functions/page-aug.ts';
import { rangeBlock } from '../../../spec/tdx/functions/range-block.ts';
import { EXCLUSIVE, Locks, SHARED, type LockKind, type Mode } from '../../../spec/tdx/locks.ts';
import { TdxModule, type InterfaceFunction, type Platform } from '../../../spec/tdx/module.ts';
import { through, withParts } from './altered.ts';

/** Locks that admit every attempt. */
class OpenLocks extends Locks {
  override tryNow(cell: Cell, kind: LockKind, mode: Mode): boolean {
    if (!super.tryNow(cell, kind, mode)) this.notify('taken', cell, mode);
    return true;
  }
}

/** Plain locks whose count keeps refused readers. */
class StickyLocks extends Locks {
  private readonly machine: Machine;

  constructor(m: Machine) {
    super(m, true);
    this.machine = m;
  }

  override releaseNow(cell: Cell, kind: LockKind, mode: Mode): void {
    const readers = this.machine.peek(cell) & ~1;
    super.releaseNow(cell, kind, mode);
    if (kind === 'sharex' && mode === EXCLUSIVE) this.machine.poke(cell, readers);
  }
}

const withLocks =
  (create: (m: Machine) => Locks) =>
  (memory: Memory, platform: Platform): TdxModule =>
    withParts(new TdxModule(memory, platform), { locks: create(memory.m) });

/** No lock excludes another actor. */
export const nothingExcluded = withLocks((m) => new OpenLocks(m, true));
/** Once the tree has refused a reader, it is never free for a writer again. */
export const refusedReadersCounted = withLocks((m) => new StickyLocks(m));

/** PAGE.AUG does not release the tree. */
export const augKeepsTree: InterfaceFunction = {
  ...pageAug,
  release: pageAug.release.filter((role) => role !== HELD_TREE),
};

/** PAGE.AUG does not lock its entry. */
export const augWithoutEntryLock = through(pageAug, () => ({
  locking: () => ({ tree: SHARED, entryLock: false }),
}));
/** RANGE.BLOCK shares the tree. */
export const blockSharesTree = through(rangeBlock, () => ({
  locking: () => ({ tree: SHARED, entryLock: true }),
}));

/** PAGE.ADD shares the TDR. */
export const addSharesTdr = through(pageAdd, (tdx) => ({
  acquireNow: (call, role, cell) => tdx.acquireNow(call, role, cell, SHARED),
}));
