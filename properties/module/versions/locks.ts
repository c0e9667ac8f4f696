/**
 * The locks of a call, observed while it runs alone: in the order in which it takes them, each with
 * the outcome of the call if another one holds it; and the order in which it releases them.
 */
import type { Cell } from '../../../spec/machine/machine.ts';
import { ENTRY_LOCK } from '../../../spec/tdx/entry.ts';
import { SHARED, type LockListener, type Mode } from '../../../spec/tdx/locks.ts';
import { runWithAttempts, type Attempt } from './attempts.ts';
import type { PreparedCall } from './calls.ts';
import { lockGroups } from './lock-names.ts';
import { outcomeOf, SUCCEEDS } from './outcome.ts';

const BY_EXCHANGE = 'by exchange';
/** Shared, exclusive, from one to the other; without a lock, a compare-and-exchange. */
type LockMode = 'S' | 'X' | 'S to X' | typeof BY_EXCHANGE;

interface TakenLock {
  readonly name: string;
  readonly mode: LockMode;
  /** The outcome of the call if another one holds the lock. */
  readonly busy: string;
}

export interface ObservedLocks {
  /** In the order in which they are taken. */
  readonly taken: readonly TakenLock[];
  /** Names, in the order in which they are released. */
  readonly released: readonly string[];
  /** Names of the locks that are held when the call has ended. */
  readonly kept: readonly string[];
}

/** @throws Error if the call does not succeed, or succeeds although one of its locks is held */
export function observeLocks(prepared: PreparedCall): ObservedLocks {
  const { rig } = prepared;
  const observer = new LockObserver();
  rig.tdx.locks.listeners.push(observer);
  const call = runWithAttempts(prepared, (attempt) => observer.attempt(attempt));
  rig.tdx.locks.listeners.splice(rig.tdx.locks.listeners.indexOf(observer), 1);
  if (outcomeOf(call) !== SUCCEEDS) throw new Error(`${prepared.name}: ${outcomeOf(call)}`);

  rig.m.reset(); // the names are those of the pages before the call
  const { attempts, releases } = observer;
  const cells = attempts.map(({ cell }) => cell);
  const groups = lockGroups(rig, cells, call.entryCell);
  const taken = groups.map(({ name, indexes, isEntry }) => {
    const outcomes = indexes.map((i) =>
      busyOutcome(prepared, i, attempts[i] as TakenAttempt, isEntry),
    );
    const last = attempts[indexes.at(-1) ?? 0] as TakenAttempt; // a group has members
    return { name, cell: last.cell, mode: last.mode, busy: [...new Set(outcomes)].join(', ') };
  });
  const released = releases.flatMap((cell) =>
    taken.filter((lock) => lock.cell === cell).map(({ name }) => name),
  );
  return {
    taken,
    released: [...new Set(released)],
    kept: taken
      .filter(({ mode, name }) => mode !== BY_EXCHANGE && !released.includes(name))
      .map(({ name }) => name),
  };
}

type TakenAttempt = Attempt & { readonly mode: LockMode };

/** What a call does to locks. */
class LockObserver implements LockListener {
  readonly attempts: TakenAttempt[] = [];
  readonly releases: Cell[] = [];
  /** What the attempt has done. */
  private mode: Mode | 0 = 0;
  private dropped: Cell = -1;

  /** Returns what to do after an attempt. */
  attempt({ cell, isExchange }: Attempt): () => void {
    this.mode = 0;
    this.dropped = -1;
    return () => {
      const isPromoted = this.dropped === cell;
      if (isPromoted) this.releases.pop();
      const mode = isPromoted ? 'S to X' : this.mode === SHARED ? 'S' : 'X';
      this.attempts.push({ cell, isExchange, mode: isExchange ? BY_EXCHANGE : mode });
    };
  }

  taken(_cell: Cell, mode: Mode): void {
    this.mode = mode;
  }

  refused(): void {
    this.mode = 0;
  }

  released(cell: Cell): void {
    this.dropped = cell;
    this.releases.push(cell);
  }
}

/** A reader of any kind of lock: one or two of them. */
const READER = 4;
const HELD = 1;

/** The outcome of the call if another one holds the lock of its attempt number `at`. */
function busyOutcome(
  prepared: PreparedCall,
  at: number,
  { cell, mode }: TakenAttempt,
  isEntry: boolean,
): string {
  const { m } = prepared.rig;
  const held = (word: number): number =>
    isEntry ? word | ENTRY_LOCK : mode === 'S' ? HELD : word + READER;
  const call = runWithAttempts(prepared, (_attempt, index) => {
    if (index === at) m.poke(cell, held(m.peek(cell)));
    return null;
  });
  const outcome = outcomeOf(call);
  if (outcome === SUCCEEDS)
    throw new Error(`${prepared.name} succeeds although ${m.nameOf(cell)} is held`);
  return outcome;
}
