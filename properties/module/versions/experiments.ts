/** Whether a call can be interrupted, and which versions of a call a module has. */
import type { PreparedCall } from './calls.ts';
import { outcomeOf } from './outcome.ts';

/** Versions from 0 on that are tried: more than any function has. */
export const TRIED_VERSIONS = 4;
/** OPERAND_INVALID without an operand names RAX, which holds the version. */
const NO_SUCH_VERSION = 'OPERAND_INVALID';
const AT_FIRST_CHECK = 1;

/** The outcome of the call if an interrupt is pending; null if it does not look for one. */
export function interruptedOutcome(prepared: PreparedCall): string | null {
  const call = prepared.run({ interruptAfter: AT_FIRST_CHECK });
  return call.interruptLooks === 0 ? null : outcomeOf(call);
}

/** The versions of the call that the module accepts. */
export const acceptedVersions = (prepared: PreparedCall): number[] =>
  Array.from({ length: TRIED_VERSIONS }, (_, version) => version).filter(
    (version) => outcomeOf(prepared.run({ version })) !== NO_SUCH_VERSION,
  );
