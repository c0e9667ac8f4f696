/** Runs a pair: X up to a point, then Y to its end, then the rest of X. */
import type { Cell } from '../../../../spec/machine/machine.ts';
import { atomically, type Steps } from '../../../../spec/machine/step.ts';
import type { Call } from '../../../../spec/tdx/call.ts';
import { ENTRY_LOCK, HOST_PRIORITY } from '../../../../spec/tdx/entry.ts';
import { EPT, TDR } from '../../../../spec/tdx/pamt.ts';
import { SUCCESS } from '../../../../spec/tdx/status.ts';
import { supervised } from '../../../checker/module-guard.ts';
import { start, type PairCall, type PairSetup } from '../setups/pair-setup.ts';
import type { Testbed } from '../setups/testbed.ts';
import { observing, LockObserver, type LockKindName } from './lock-observer.ts';

/** The outcome of a pair. Entries are raw; 0 if there is none. */
interface Outcome {
  readonly y: Call;
  /** Null if X is a vCPU that only runs. */
  readonly x: Call | null;
  readonly entryAtPause: bigint;
  readonly entryAfterY: bigint;
  readonly entryAfter: bigint;
  /** A lock is still held that no call should hold. */
  readonly hasLeak: boolean;
  /** The kind of the attempt at the lock that Y was refused. */
  readonly refusal: LockKindName | null;
}

/**
 * Runs X for `steps` steps, then Y, then X to its end. Leaves the testbed as the pair left it.
 * `acquiring` is the lock that X has just taken, and of which the module has not yet cleared host
 * priority; -1 if there is none. The specification does both in one step.
 */
export function runPair(setup: PairSetup, steps: number, acquiring: Cell = -1): Outcome {
  const { testbed, x, y } = setup;
  const observer = new LockObserver();
  const pair = (): Outcome => {
    const suspended = start(testbed, x);
    let done: Call | null = suspended === null ? null : advance(suspended, steps);
    const entryAtPause = watchedEntry(setup);
    const other = runAlone(setup, y) as Call; // Y is always a call
    if (acquiring >= 0) clearHostPriority(testbed, acquiring);
    const entryAfterY = watchedEntry(setup);
    if (suspended !== null && done === null) done = atomically(suspended);
    return {
      y: other,
      x: done,
      entryAtPause,
      entryAfterY,
      entryAfter: watchedEntry(setup),
      hasLeak: hasLeak(testbed, observer, [done, other]),
      refusal: observer.refusals.get(other.busyLock) ?? null,
    };
  };
  return observing(testbed.tdx, observer, () => supervised(testbed.tdx.version, pair));
}

/** Performs `count` announced steps. Returns the call if it has ended with them, else null. */
function advance(steps: Steps<Call>, count: number): Call | null {
  for (let i = 0; i <= count; i++) {
    const next = steps.next();
    if (next.done === true) return next.value;
  }
  return null;
}

/** Runs one of the two calls in one go; null for a vCPU that only runs. */
export function runAlone({ testbed }: PairSetup, call: PairCall): Call | null {
  const steps = start(testbed, call);
  return steps === null ? null : supervised(testbed.tdx.version, () => atomically(steps));
}

/** The watched entry's raw value. It belongs to TD 0. */
export function watchedEntry({ testbed, watched }: PairSetup): bigint {
  const cell = watched();
  return cell < 0 ? 0n : testbed.tdx.rawEntry(testbed.m.peek(cell), testbed.slot(0).tdr);
}

/**
 * Clears host priority, as a host's successful acquisition of an entry lock does at its end. Host
 * priority of other locks stops no host.
 */
function clearHostPriority(testbed: Testbed, lock: Cell): void {
  if (tableOf(testbed, lock) !== null) testbed.m.poke(lock, testbed.m.peek(lock) & ~HOST_PRIORITY);
}

/** The page that a cell is a word of; null for cells of a TDR and of other structures. */
function tableOf({ tdx, m }: Testbed, cell: Cell): number | null {
  const page = /^page (\d+) word/.exec(m.nameOf(cell))?.[1];
  return page === undefined || tdx.pamt.type(Number(page), 0) === TDR ? null : Number(page);
}

/** A lock is held without a reason. A vCPU that has entered keeps locks; a freed table has none. */
function hasLeak(
  testbed: Testbed,
  { held }: LockObserver,
  calls: readonly (Call | null)[],
): boolean {
  if (calls.some((call) => call?.name === 'TDH.VP.ENTER' && call.status === SUCCESS)) return false;
  for (const [cell, count] of held) {
    if (count < 0) continue; // held since before the pair began
    const table = tableOf(testbed, cell);
    if (table === null) return true;
    if (testbed.tdx.pamt.type(table, 0) === EPT && (testbed.m.peek(cell) & ENTRY_LOCK) !== 0)
      return true;
  }
  return false;
}
