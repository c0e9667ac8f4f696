/** What calls do to the module's locks, as the judge of pairs sees it. */
import type { Cell } from '../../../../spec/machine/machine.ts';
import { SHARED, type LockListener, type Mode } from '../../../../spec/tdx/locks.ts';
import type { TdxModule } from '../../../../spec/tdx/module.ts';

/** How a lock was asked for, as recordings say it. PROMOTE: from shared to exclusive. */
export type LockKindName = 'SHARED' | 'EXCLUSIVE' | 'PROMOTE';

export interface LockEvent {
  readonly what: 'taken' | 'refused' | 'released';
  readonly cell: Cell;
  readonly kind: LockKindName;
}

const nameOf = (mode: Mode): LockKindName => (mode === SHARED ? 'SHARED' : 'EXCLUSIVE');

export class LockWatch implements LockListener {
  last: LockEvent | null = null;
  /** How often each lock is held, counted from when the watch began. */
  readonly held = new Map<Cell, number>();
  /** How each lock was asked for when it was last refused. */
  readonly refusals = new Map<Cell, LockKindName>();

  taken(cell: Cell, mode: Mode): void {
    const isPromoted = this.last?.what === 'released' && this.last.cell === cell;
    this.last = { what: 'taken', cell, kind: isPromoted ? 'PROMOTE' : nameOf(mode) };
    this.count(cell, 1);
  }

  refused(cell: Cell, mode: Mode): void {
    const isPromoting =
      this.last?.what === 'taken' && this.last.cell === cell && this.last.kind === 'SHARED';
    const kind = isPromoting && mode !== SHARED ? 'PROMOTE' : nameOf(mode);
    this.refusals.set(cell, kind);
    this.last = { what: 'refused', cell, kind };
  }

  released(cell: Cell, mode: Mode): void {
    this.last = { what: 'released', cell, kind: nameOf(mode) };
    this.count(cell, -1);
  }

  private count(cell: Cell, by: number): void {
    const count = (this.held.get(cell) ?? 0) + by;
    if (count === 0) this.held.delete(cell);
    else this.held.set(cell, count);
  }
}

/** Has `watch` listen while `action` runs. */
export function listening<T>(tdx: TdxModule, watch: LockWatch, action: () => T): T {
  const { listeners } = tdx.locks;
  listeners.push(watch);
  try {
    return action();
  } finally {
    listeners.splice(listeners.indexOf(watch), 1);
  }
}
