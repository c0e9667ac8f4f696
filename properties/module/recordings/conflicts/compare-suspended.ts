/** Compares cells in which X is suspended after its last acquisition of a lock. */
import type { PairSetup } from '../setups/pair-setup.ts';
import type { ConflictCell, LifecycleCell } from './cell-schemas.ts';
import type { Comparison } from './comparison.ts';
import type { PairMeasurement, PausedOutcome } from './measurement.ts';
import { withoutDetails } from './status.ts';

/** Compares the fields of both kinds of cells. X is suspended after `steps` steps. */
function compareSuspended(
  cell: ConflictCell | LifecycleCell,
  measured: PairMeasurement,
  steps: number,
  locks: number | null,
  comparison: Comparison,
): PausedOutcome {
  const paused = measured.pausedAt(steps);
  comparison.field('xAlone', cell.xAlone, measured.xAlone);
  comparison.field('yAlone', cell.yAlone, measured.yAlone);
  if (locks !== null) comparison.field('xLocksHeldAtPause', cell.xLocksHeldAtPause, locks);
  comparison.field('yStatus', withoutDetails(cell.yStatus), paused.yStatus);
  comparison.field('yFailedLock', cell.yFailedLock ?? null, paused.yFailedLock);
  comparison.field('yFailedLockKind', cell.yFailedLockKind ?? null, paused.yFailedLockKind);
  comparison.field('blockedByX', cell.blockedByX, paused.yStatus !== measured.yAlone);
  const xStatus = withoutDetails(cell.xStatusAfterResume);
  comparison.field('xStatusAfterResume', xStatus, paused.xStatus);
  comparison.given('xChanged', cell.xChanged, paused.xStatus !== measured.xAlone);
  comparison.given('linearizable', cell.linearizable, paused.linearizable);
  return paused;
}

export function compareConflict(
  cell: ConflictCell,
  measured: PairMeasurement,
  comparison: Comparison,
): void {
  const steps = measured.trace?.lastAcquire ?? 0;
  const paused = compareSuspended(cell, measured, steps, measured.locksAtPause, comparison);
  comparison.bits('yStatusRaw', cell.yStatusRaw, paused.yRax);
  comparison.bits('entryWhilePaused', cell.entryWhilePaused, paused.entryWhilePaused);
  comparison.bits('entryAfter', cell.entryAfter, paused.entryAfter);
  comparison.bits('guestRax', cell.guestRax, paused.yRax);
}

/** As for conflicts, but a call of a guest is not suspended: its vCPU only runs in the guest. */
export function compareLifecycle(
  cell: LifecycleCell,
  setup: PairSetup,
  measured: PairMeasurement,
  comparison: Comparison,
): void {
  const isOfGuest = setup.x.operands.vcpu >= 0;
  const steps = isOfGuest ? 0 : (measured.trace?.lastAcquire ?? 0);
  compareSuspended(cell, measured, steps, isOfGuest ? null : measured.locksAtPause, comparison);
}
