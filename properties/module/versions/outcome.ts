/** The outcome of a call, in the words of the tables. */
import type { Call } from '../../../spec/tdx/call.ts';
import { describeStatus, SUCCESS } from '../../../spec/tdx/status.ts';

export const SUCCEEDS = 'succeeds';

/** A status without its prefix; what a guest's call does instead of completing. */
export function outcomeOf({ status, exitReason, interrupted, injectedVe }: Call): string {
  if (exitReason >= 0) return `TD exit ${exitReason}`;
  if (interrupted) return 'interrupted';
  if (injectedVe) return '#VE';
  return status === SUCCESS ? SUCCEEDS : describeStatus(status).replace(/^TDX_/, '');
}
