import type { Cell } from '../../machine/machine.ts';
import { HELD_ENTRY, HELD_TREE, type Call } from '../call.ts';
import { describeEntry, ENTRY_LOCK, HOST_PRIORITY, withoutLocks } from '../entry.ts';
import { EXCLUSIVE, SHARED, type Mode } from '../locks.ts';
import type { TdxModule } from '../module.ts';
import { classOf, OPERAND_BUSY } from '../status.ts';
import { SEPT_FUNCTIONS, type SeptFunction } from '../versions.ts';
import type { TdxRule } from './index.ts';

/** Who holds what, counted beside the lock words, so that a broken lock word does not fool the rule. */
class Holders {
  private readonly shared = new Map<Cell, number>();
  private readonly exclusive = new Set<Cell>();

  taken(cell: Cell, mode: Mode): void {
    if (mode === EXCLUSIVE) this.exclusive.add(cell);
    else this.shared.set(cell, (this.shared.get(cell) ?? 0) + 1);
  }

  released(cell: Cell, mode: Mode): void {
    if (mode === EXCLUSIVE) this.exclusive.delete(cell);
    else this.shared.set(cell, Math.max(0, (this.shared.get(cell) ?? 0) - 1));
  }

  /** Does somebody hold the lock in a mode that excludes `mode`? */
  conflict(cell: Cell, mode: Mode): boolean {
    return this.exclusive.has(cell) || (mode === EXCLUSIVE && (this.shared.get(cell) ?? 0) > 0);
  }

  clear(): void {
    this.shared.clear();
    this.exclusive.clear();
  }
}

function holdersOf(tdx: TdxModule): Holders {
  const holders = new Holders();
  tdx.m.onReset(() => holders.clear());
  return holders;
}

const T09: TdxRule = {
  id: 'T09',
  level: 'required',
  statement: 'A lock of the module excludes: shared holders share with each other only, an exclusive holder is alone.',
  source: 'TDX-MODULE notes §5; conflicts.json',
  versions: ['*'],
  watch: (tdx, judge) => {
    const holders = holdersOf(tdx);
    tdx.locks.listeners.push({
      taken: (cell, mode) => {
        judge.exercised();
        if (holders.conflict(cell, mode)) {
          judge.violated(`no holder that excludes ${mode === SHARED ? 'a shared' : 'an exclusive'} one`,
            `${tdx.m.nameOf(cell)} was held`);
        }
        holders.taken(cell, mode);
      },
      refused: () => {},
      released: (cell, mode) => holders.released(cell, mode),
    });
  },
};

const SEPT_CALLS = new Set<string>(SEPT_FUNCTIONS);

const T10: TdxRule = {
  id: 'T10',
  level: 'required',
  statement: 'An entry is written under the locks that the table of the module version names, and no fewer.',
  source: 'locks.json (1.5); the base specification of 1.0 as quoted in the thread of January 2023',
  versions: ['*'],
  watch: (tdx, judge) => {
    tdx.listeners.push({
      entryWritten: (cell, before, after, call) => {
        if (cell !== call.entryCell || withoutLocks(before) === withoutLocks(after) || !SEPT_CALLS.has(call.name)) return;
        judge.exercised();
        const { tree, entryLock } = tdx.locking(call.name as SeptFunction); // a member of the table
        const missing = [
          ...(tree !== null && call.modeOf(HELD_TREE) !== tree ? ['the tree lock'] : []),
          ...(entryLock && call.modeOf(HELD_ENTRY) === 0 ? ['the entry lock'] : []),
        ];
        if (missing.length > 0) judge.violated(`${call.name} holds ${missing.join(' and ')}`, 'it does not');
      },
    });
  },
};

const T11: TdxRule = {
  id: 'T11',
  level: 'required',
  statement: 'OPERAND_BUSY is answered only when somebody else holds the lock in a conflicting mode at that moment.',
  source: 'conflicts.json (yFailedLock); TDX-MODULE notes §5',
  versions: ['*'],
  watch: (tdx, judge) => {
    const holders = holdersOf(tdx);
    /** Refusals without a holder, by lock; looked at when the call that was refused ends. */
    const groundless = new Set<Cell>();
    tdx.m.onReset(() => groundless.clear());
    tdx.locks.listeners.push({
      taken: (cell, mode) => holders.taken(cell, mode),
      refused: (cell, mode) => {
        if (holders.conflict(cell, mode)) groundless.delete(cell);
        else groundless.add(cell);
      },
      released: (cell, mode) => holders.released(cell, mode),
    });
    tdx.listeners.push({
      ended: (call, status) => {
        if (classOf(status) !== OPERAND_BUSY || call.busyLock < 0) return;
        judge.exercised();
        if (!groundless.has(call.busyLock)) return;
        judge.violated('a holder of the lock', `nobody held ${tdx.m.nameOf(call.busyLock)}`);
      },
    });
  },
};

const T12: TdxRule = {
  id: 'T12',
  level: 'required',
  statement: 'Nobody overwrites an update it has not seen: an entry still holds what the writer read.',
  source: 'TDX-MODULE notes §4 (ACCEPT writes from its copy) and §5',
  versions: ['*'],
  watch: (tdx, judge) => {
    tdx.listeners.push({
      entryWritten: (cell, before, after, call) => {
        if (cell !== call.entryCell || withoutLocks(before) === withoutLocks(after)) return;
        judge.exercised();
        if (withoutLocks(before) === withoutLocks(call.entry)) return;
        judge.violated(describeEntry(withoutLocks(call.entry)), describeEntry(withoutLocks(before)));
      },
    });
  },
};

const T13: TdxRule = {
  id: 'T13',
  level: 'required',
  statement: 'While a refused host call waits with the host-priority bit set, no guest takes the entry lock.',
  source: 'conflicts.json, host-priority experiments; TDX-MODULE notes §5',
  versions: ['1.5'],
  watch: (tdx, judge) => {
    // The lock bit of an entry is set inside a guest's call: see the value before through the machine's writes.
    let guest: Call | null = null;
    tdx.listeners.push({
      began: (call) => {
        if (call.in.vcpu >= 0) guest = call;
      },
    });
    tdx.m.onReset(() => {
      guest = null;
    });
    const waiting = new Set<Cell>();
    tdx.m.onReset(() => waiting.clear());
    tdx.m.onWrite.push((cell, before, after) => {
      if ((after & HOST_PRIORITY) !== 0) waiting.add(cell);
      else if (waiting.has(cell)) waiting.delete(cell);
      if (guest === null || cell !== guest.entryCell) return;
      if ((before & ENTRY_LOCK) !== 0 || (after & ENTRY_LOCK) === 0 || (before & HOST_PRIORITY) === 0) return;
      // a host that takes the lock clears the bit in the same write
      if ((after & HOST_PRIORITY) !== 0) judge.violated('the guest refused', 'the guest took the entry lock');
    });
    tdx.locks.listeners.push({
      taken: () => {},
      refused: (cell) => {
        if (waiting.has(cell)) judge.exercised();
      },
      released: () => {},
    });
  },
};

export const LOCK_RULES: readonly TdxRule[] = [T09, T10, T11, T12, T13];
