/** Observes what calls do to the module's locks, for the judge of pair recordings. */
import type { Cell } from '../../../../spec/machine/machine.ts';
import { SHARED, type LockListener, type Mode } from '../../../../spec/tdx/locks.ts';
import type { TdxModule } from '../../../../spec/tdx/module.ts';

/** The kind of an acquisition, as recordings name it. PROMOTE: from shared to exclusive. */
export type LockKindName = 'SHARED' | 'EXCLUSIVE' | 'PROMOTE';

export interface LockEvent {
  readonly what: 'taken' | 'refused' | 'released';
  readonly cell: Cell;
  readonly kind: LockKindName;
}

const nameOf = (mode: Mode): LockKindName => (mode === SHARED ? 'SHARED' : 'EXCLUSIVE');

export class LockObserver implements LockListener {
  last: LockEvent | null = null;
  /** Number of holders of each lock, counted from the start of the observation. */
  readonly held = new Map<Cell, number>();
  /** The kind of the last refused attempt at each lock. */
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

/** Runs `action` with `observer` listening. */
export function observing<T>(tdx: TdxModule, observer: LockObserver, action: () => T): T {
  const { listeners } = tdx.locks;
  listeners.push(observer);
  try {
    return action();
  } finally {
    listeners.splice(listeners.indexOf(observer), 1);
  }
}
