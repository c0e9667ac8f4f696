/**
 * The actors that hold the module's locks, as rules see them. They are counted from what the locks
 * announce and not from the lock words, which are what the rules judge. One observer watches a
 * module, whatever the number of rules that use it.
 */
import type { Cell } from '../../machine/machine.ts';
import { EXCLUSIVE, type LockListener, type Mode } from '../locks.ts';
import type { TdxModule } from '../module.ts';

/** An exclusive hold, in the numbers of {@link LockHolders}: more than there are shared ones. */
export const EXCLUSIVE_HOLD = 1 << 16;

/**
 * The holds of one actor on one lock: 1 for a shared one, {@link EXCLUSIVE_HOLD} for an exclusive
 * one.
 */
interface Hold {
  readonly cell: Cell;
  readonly actor: number;
  count: number;
}

/**
 * Holds by lock and actor. Few locks are held at a time: a search through a list of them costs less
 * than hashing would.
 */
export class LockHolders implements LockListener {
  private readonly tdx: TdxModule;
  private readonly holds: Hold[] = [];

  constructor(tdx: TdxModule) {
    this.tdx = tdx;
    tdx.m.onReset(() => {
      this.holds.length = 0;
    });
  }

  taken(cell: Cell, mode: Mode): void {
    this.count(cell, mode === EXCLUSIVE ? EXCLUSIVE_HOLD : 1);
  }

  refused(): void {}

  released(cell: Cell, mode: Mode): void {
    this.count(cell, mode === EXCLUSIVE ? -EXCLUSIVE_HOLD : -1);
  }

  private count(cell: Cell, delta: number): void {
    const { holds } = this;
    const hold = this.find(cell);
    if (hold === undefined) holds.push({ cell, actor: this.tdx.m.current, count: delta });
    else if ((hold.count += delta) === 0) {
      holds[holds.indexOf(hold)] = holds[holds.length - 1] as Hold; // it has at least this one
      holds.pop();
    }
  }

  /** The hold of the stepping actor on `cell`. */
  private find(cell: Cell): Hold | undefined {
    for (const hold of this.holds)
      if (hold.cell === cell && hold.actor === this.tdx.m.current) return hold;
    return undefined;
  }

  /** Shared holds of `cell`, plus {@link EXCLUSIVE_HOLD} for each exclusive one. */
  of(cell: Cell): number {
    let held = 0;
    for (const hold of this.holds) if (hold.cell === cell) held += hold.count;
    return held;
  }

  /** The part of {@link of} that belongs to the stepping actor. */
  ofCurrent(cell: Cell): number {
    return this.find(cell)?.count ?? 0;
  }

  /** All holds of the stepping actor, in the numbers of {@link of}. */
  get totalOfCurrent(): number {
    let held = 0;
    for (const hold of this.holds) if (hold.actor === this.tdx.m.current) held += hold.count;
    return held;
  }

  /** Whether the stepping actor holds `cell` in `mode`. */
  isHeld(cell: Cell, mode: Mode): boolean {
    return mode === EXCLUSIVE ? this.ofCurrent(cell) >= EXCLUSIVE_HOLD : this.ofCurrent(cell) > 0;
  }
}

/** The observer of `tdx`. It hears of each lock before the rule that asked for it does. */
export function lockHolders(tdx: TdxModule): LockHolders {
  const known = tdx.locks.listeners.find((listener) => listener instanceof LockHolders);
  if (known !== undefined) return known;
  const holders = new LockHolders(tdx);
  tdx.locks.listeners.push(holders);
  return holders;
}
