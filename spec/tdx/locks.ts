/**
 * The module's try-locks. None of them ever waits: a failed attempt is a BUSY status.
 *
 * - _sharex_ (SEPT_TREE, TD_EPOCH, KOT): bit 0 exclusive, readers counted in steps of 2.
 * - _sharex with host priority_ (every PAMT entry, OP_STATE): bit 0 exclusive, bit 1 host priority,
 *   readers in steps of 4. A refused host sets the flag, the next host that succeeds clears it, and
 *   a guest is refused while it is set.
 * - _mutex_ (WBT, KET): 0 or 1.
 *
 * In a version without host priority (1.0) the second kind is like the first.
 *
 * A refused shared attempt leaves the reader count raised. That is harmless: the count is wrong
 * only while the exclusive holder is there, and its release resets the word.
 *
 * One approximation: the module updates the host-priority flag in a second atomic operation after
 * the attempt; here both are one step.
 *
 * Source: intel/tdx-module 1.5.01, src/common/helpers/tdx_locks.h: acquire_sharex_lock_sh(),
 * acquire_sharex_lock_ex(), acquire_sharex_lock_hp(), promote_sharex_lock_hp(),
 * acquire_mutex_lock(), and the checks of the release functions; lock words measured:
 * docs/module-notes.md#locks.
 */
import type { Cell, Machine } from '../machine/machine.ts';
import { RELEASE, TRY, type Steps, access } from '../machine/step.ts';

/** Mode of a lock that any number of calls can hold at once. */
export const SHARED = 1;
/** Mode of a lock that excludes every other holder. */
export const EXCLUSIVE = 2;
/** {@link SHARED} or {@link EXCLUSIVE}. */
export type Mode = typeof SHARED | typeof EXCLUSIVE;

export type LockKind = 'sharex' | 'sharexHp' | 'mutex';

const HELD = 1;
const HP_FLAG = 2;

/** Hears of every attempt and release. `cell` is the lock's word. */
export interface LockListener {
  taken(cell: Cell, mode: Mode): void;
  refused(cell: Cell, mode: Mode): void;
  released(cell: Cell, mode: Mode): void;
}

export class Locks {
  private readonly m: Machine;
  readonly listeners: LockListener[] = [];
  /** One reader in units of the lock word, by kind of lock. */
  private readonly reader: Readonly<Record<LockKind, number>>;
  /** The host-priority flag, or 0 where there is none. */
  private readonly flag: number;

  constructor(m: Machine, hostPriority: boolean) {
    this.m = m;
    this.reader = { sharex: 2, sharexHp: hostPriority ? 4 : 2, mutex: 0 };
    this.flag = hostPriority ? HP_FLAG : 0;
  }

  /** One attempt of a host call, in one step. */
  *try(cell: Cell, kind: LockKind, mode: Mode): Steps<boolean> {
    yield access(cell, TRY);
    return this.tryNow(cell, kind, mode);
  }

  /** {@link try} within the step that announced it. */
  tryNow(cell: Cell, kind: LockKind, mode: Mode): boolean {
    const word = this.m.peek(cell);
    const taken = mode === SHARED ? this.share(cell, kind, word) : this.exclude(cell, kind, word);
    if (taken) this.notify('taken', cell, mode);
    else this.notify('refused', cell, mode);
    return taken;
  }

  private share(cell: Cell, kind: LockKind, word: number): boolean {
    const raised = word + this.reader[kind];
    if ((word & HELD) !== 0) {
      this.m.poke(cell, kind === 'sharexHp' ? raised | this.flag : raised);
      return false;
    }
    this.m.poke(cell, kind === 'sharexHp' ? raised & ~this.flag : raised);
    return true;
  }

  private exclude(cell: Cell, kind: LockKind, word: number): boolean {
    if (word === 0 || (kind === 'sharexHp' && word === this.flag)) {
      this.m.poke(cell, HELD);
      return true;
    }
    if (kind === 'sharexHp') this.m.poke(cell, word | this.flag);
    return false;
  }

  /** Makes the caller's shared hold of a PAMT entry exclusive, if it is the only reader. */
  *promote(cell: Cell): Steps<boolean> {
    yield access(cell, TRY);
    const word = this.m.peek(cell);
    if ((word & ~this.flag) !== this.reader.sharexHp) {
      this.m.poke(cell, word | this.flag);
      this.notify('refused', cell, EXCLUSIVE);
      return false;
    }
    this.m.poke(cell, HELD);
    this.notify('released', cell, SHARED);
    this.notify('taken', cell, EXCLUSIVE);
    return true;
  }

  /** Whether the word agrees with a hold in `mode`. The module checks that when it releases. */
  isHeld(cell: Cell, kind: LockKind, mode: Mode): boolean {
    const word = this.m.peek(cell);
    const isExclusive = (word & HELD) !== 0;
    return mode === SHARED ? !isExclusive && word >= this.reader[kind] : isExclusive;
  }

  *release(cell: Cell, kind: LockKind, mode: Mode): Steps<void> {
    yield access(cell, RELEASE);
    this.releaseNow(cell, kind, mode);
  }

  /** {@link release} within the step that announced it. */
  releaseNow(cell: Cell, kind: LockKind, mode: Mode): void {
    const word = this.m.peek(cell);
    if (mode === SHARED) this.m.poke(cell, word - this.reader[kind]);
    else this.m.poke(cell, kind === 'sharexHp' ? word & this.flag : 0);
    this.notify('released', cell, mode);
  }

  /** Notifies the listeners. Entry locks, which are bits of their entry, use it too. */
  notify(what: keyof LockListener, cell: Cell, mode: Mode): void {
    for (const listener of this.listeners) listener[what](cell, mode);
  }
}
