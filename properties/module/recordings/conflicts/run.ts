/** Runs a pair: X up to a point, then Y to its end, then the rest of X. */
import type { Cell } from '../../../../spec/machine/machine.ts';
import { atomically, type Steps } from '../../../../spec/machine/step.ts';
import type { Call } from '../../../../spec/tdx/call.ts';
import { ENTRY_LOCK, HOST_PRIORITY, toRaw } from '../../../../spec/tdx/entry.ts';
import { EPT, TDR } from '../../../../spec/tdx/pamt.ts';
import { SUCCESS } from '../../../../spec/tdx/status.ts';
import { begin, type Party, type Scene } from '../setups/scene.ts';
import type { Stage } from '../setups/setups.ts';
import { listening, LockWatch, type LockKindName } from './locks.ts';

/** What came of a pair. Entries are raw; 0 when there is none. */
export interface Outcome {
  readonly y: Call;
  /** null: X is a vCPU that merely runs. */
  readonly x: Call | null;
  readonly entryAtPause: bigint;
  readonly entryAfterY: bigint;
  readonly entryAfter: bigint;
  /** Somebody still holds a lock that nobody should hold. */
  readonly hasLeak: boolean;
  /** How Y asked for the lock that it was refused. */
  readonly refusal: LockKindName | null;
}

/**
 * Runs X so many steps, then Y, then X to its end. Leaves the stage as the pair left it.
 * `acquiring` is the lock that X has just taken but, in the module, not yet cleared of host
 * priority, or -1; ours does both in one step.
 */
export function runPair(scene: Scene, steps: number, acquiring: Cell = -1): Outcome {
  const { stage, x, y } = scene;
  const watch = new LockWatch();
  return listening(stage.tdx, watch, () => {
    const suspended = begin(stage, x);
    let done: Call | null = suspended === null ? null : advance(suspended, steps);
    const entryAtPause = watchedEntry(scene);
    const other = runAlone(scene, y) as Call; // Y is always a call
    if (acquiring >= 0) clearHostPriority(stage, acquiring);
    const entryAfterY = watchedEntry(scene);
    if (suspended !== null && done === null) done = atomically(suspended);
    return {
      y: other,
      x: done,
      entryAtPause,
      entryAfterY,
      entryAfter: watchedEntry(scene),
      hasLeak: hasLeak(stage, watch, [done, other]),
      refusal: watch.refusals.get(other.busyLock) ?? null,
    };
  });
}

/** Performs so many announced steps; the result if the call has ended with them. */
function advance(steps: Steps<Call>, count: number): Call | null {
  for (let i = 0; i <= count; i++) {
    const next = steps.next();
    if (next.done === true) return next.value;
  }
  return null;
}

/** Runs one of the two with nobody in between; null for a vCPU that merely runs. */
export function runAlone({ stage }: Scene, party: Party): Call | null {
  const steps = begin(stage, party);
  return steps === null ? null : atomically(steps);
}

/** The watched entry's raw value. */
export function watchedEntry({ stage, watched }: Scene): bigint {
  const cell = watched();
  return cell < 0 ? 0n : toRaw(stage.m.peek(cell), stage.tdx.base);
}

/**
 * What a host's successful acquisition of an entry lock ends with. Other locks' host priority stops
 * no host.
 */
function clearHostPriority(stage: Stage, lock: Cell): void {
  if (tableOf(stage, lock) !== null) stage.m.poke(lock, stage.m.peek(lock) & ~HOST_PRIORITY);
}

/** The page whose word a cell is, unless it is a TDR's; null for cells of other structures. */
function tableOf({ tdx, m }: Stage, cell: Cell): number | null {
  const page = /^page (\d+) word/.exec(m.nameOf(cell))?.[1];
  return page === undefined || tdx.pamt.type(Number(page), 0) === TDR ? null : Number(page);
}

/**
 * Does anybody hold a lock for nothing? A vCPU that has entered keeps its own; a freed table has
 * none.
 */
function hasLeak(stage: Stage, watch: LockWatch, calls: readonly (Call | null)[]): boolean {
  if (calls.some((call) => call?.name === 'TDH.VP.ENTER' && call.status === SUCCESS)) return false;
  for (const [cell, count] of watch.held) {
    if (count < 0) continue; // held since before the pair began
    const table = tableOf(stage, cell);
    if (table === null) return true;
    if (stage.tdx.pamt.type(table, 0) === EPT && (stage.m.peek(cell) & ENTRY_LOCK) !== 0)
      return true;
  }
  return false;
}
