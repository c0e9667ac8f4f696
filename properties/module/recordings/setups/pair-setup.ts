/** Two calls, X and Y, and the testbed that is set up for them. */
import type { Cell } from '../../../../spec/machine/machine.ts';
import type { Steps } from '../../../../spec/machine/step.ts';
import type { Call, Operands } from '../../../../spec/tdx/call.ts';
import type { InterfaceFunction } from '../../../../spec/tdx/module.ts';
import { functionNamed, operandsOf, SetupError, type Testbed } from './testbed.ts';

/** One of the two calls. A function of `null` stands for a vCPU that only runs in the guest. */
export interface PairCall {
  readonly fn: InterfaceFunction | null;
  readonly operands: Operands;
}

export interface PairSetup {
  readonly testbed: Testbed;
  readonly x: PairCall;
  readonly y: PairCall;
  /** The Secure EPT entry that the recording watches; -1 if there is none, or no table for it. */
  readonly watched: () => Cell;
  /** Makes X's vCPU enter its guest, if X is on the guest's side. */
  readonly enterX: () => void;
}

/** Recordings give this name to a vCPU that is in the guest and makes no call. */
export const RUNNING_VCPU = '(VCPU running in guest)'; // as recordings spell it

/** The function's own name: recordings append in parentheses how it is set up. */
export const functionOf = (recorded: string): string => recorded.replace(/\(.*\)$/, '');

export const pairCall = (recorded: string, operands: Partial<Operands>): PairCall => ({
  fn: recorded === RUNNING_VCPU ? null : functionNamed(functionOf(recorded)),
  operands: operandsOf(operands),
});

/** Returns the call for Y. @throws SetupError if Y makes no call */
export function callOfY(recorded: string, operands: Partial<Operands>): PairCall {
  if (recorded === RUNNING_VCPU) throw new SetupError('Y is no call');
  return pairCall(recorded, operands);
}

/** Returns the steps of the call, or null for a vCPU that only runs. */
export const start = (testbed: Testbed, { fn, operands }: PairCall): Steps<Call> | null =>
  fn === null ? null : testbed.tdx.invoke(fn, operands);
