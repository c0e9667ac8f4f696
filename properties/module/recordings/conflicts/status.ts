/** The outcome of a call, as pair recordings write it. */
import type { Call } from '../../../../spec/tdx/call.ts';
import * as S from '../../../../spec/tdx/status.ts';
import type { Conventions } from '../setups/conventions.ts';
import { TD_EXIT } from '../setups/pair-setup.ts';
import type { RecordedNames } from './recorded-names.ts';

/** Statuses that carry a level, which may be 0, instead of an operand. */
const LEVELS: ReadonlySet<S.Status> = new Set([S.PAGE_ALREADY_ACCEPTED, S.PAGE_SIZE_MISMATCH]);
const BUSY: ReadonlySet<S.Status> = new Set([S.OPERAND_BUSY, S.OPERAND_BUSY_HOST_PRIORITY]);

/**
 * For instance `TDX_OPERAND_BUSY|SEPT_TREE`, `TDX_PAGE_SIZE_MISMATCH|LEVEL1`, `(TD_EXIT 48)`. A
 * vCPU that only runs, or that leaves by itself, succeeds.
 */
export function statusText(call: Call | null, { namesLevel, exitText }: Conventions): string {
  if (call === null || call.name === TD_EXIT) return S.statusName(S.SUCCESS);
  if (call.exitReason >= 0) return exitText(call.exitReason);
  const { status } = call;
  const name = S.statusName(status);
  if (LEVELS.has(S.classOf(status))) return `${name}|LEVEL${namesLevel ? S.operandOf(status) : ''}`;
  const operand = S.operandName(status);
  return operand === null ? name : `${name}|${operand}`;
}

/** Removes the details that the recorder adds to a halt. */
export const withoutDetails = (status: string): string =>
  status.replace(/^MODULE_HALT .*$/, 'MODULE_HALT');

export const isBusy = (call: Call | null): boolean =>
  call !== null && call.exitReason < 0 && BUSY.has(S.classOf(call.status));

/** The name of the lock that refused a call, or null. */
export const failedLock = (names: RecordedNames, call: Call): string | null =>
  isBusy(call) && call.busyLock >= 0 ? names.lock(call.busyLock) : null;

/**
 * RAX as a guest sees it: it does not distinguish the priority of a host from a busy lock. After a
 * TD exit it is the host's, if the recorder reports that.
 */
export function visibleRax(
  { status, exitReason }: Call,
  { reportsExitReason }: Conventions,
): bigint {
  if (reportsExitReason && exitReason >= 0) return BigInt(exitReason);
  const visible =
    S.classOf(status) === S.OPERAND_BUSY_HOST_PRIORITY
      ? S.on(S.OPERAND_BUSY, S.operandOf(status))
      : status;
  return S.toRax(visible);
}
