/** Two calls, X and Y, and the testbed that is set up for them. */
import type { Cell } from '../../../../spec/machine/machine.ts';
import type { Steps } from '../../../../spec/machine/step.ts';
import { Call, type Operands } from '../../../../spec/tdx/call.ts';
import { tdExit } from '../../../../spec/tdx/guest/td-exit.ts';
import { EXIT_EXTERNAL_INTERRUPT } from '../../../../spec/tdx/guest/violation.ts';
import type { TdxModule } from '../../../../spec/tdx/module.ts';
import { SUCCESS } from '../../../../spec/tdx/status.ts';
import { functionNamed, operandsOf, SetupError, type Testbed } from './testbed.ts';

/** One of the two calls. A name of `null` stands for a vCPU that only runs in the guest. */
export interface PairCall {
  readonly name: string | null;
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
  /** Y is a call of X's vCPU in the guest: there is no Y without X. */
  readonly needsX: boolean;
}

/** Recordings give this name to a vCPU that is in the guest and makes no call. */
export const RUNNING_VCPU = '(VCPU running in guest)'; // as recordings spell it

/** Recordings give this name to a TD exit for an external interrupt. */
export const TD_EXIT = 'HW.TD.EXIT';

/** The function's own name: recordings append in parentheses how it is set up. */
export const functionOf = (recorded: string): string => recorded.replace(/\(.*\)$/, '');

export const pairCall = (recorded: string, operands: Partial<Operands>): PairCall => ({
  name: recorded === RUNNING_VCPU ? null : checkedName(functionOf(recorded)),
  operands: operandsOf(operands),
});

/** Returns the call for Y. @throws SetupError if Y makes no call */
export function callOfY(recorded: string, operands: Partial<Operands>): PairCall {
  if (recorded === RUNNING_VCPU) throw new SetupError('Y is no call');
  return pairCall(recorded, operands);
}

/** The name of a function, or of a TD exit. @throws SetupError if it is none */
const checkedName = (name: string): string => (name === TD_EXIT ? name : functionNamed(name).name);

/** Returns the steps of the call, or null for a vCPU that only runs. */
export function start({ tdx }: Testbed, { name, operands }: PairCall): Steps<Call> | null {
  if (name === null) return null;
  return name === TD_EXIT ? leaveGuest(tdx, operands) : tdx.invoke({ name }, operands);
}

/** A TD exit, as a call that succeeds. */
function* leaveGuest(tdx: TdxModule, operands: Operands): Steps<Call> {
  const call = new Call(TD_EXIT, operands);
  yield* tdExit(tdx, operands.vcpu);
  call.exitReason = EXIT_EXTERNAL_INTERRUPT;
  call.status = SUCCESS;
  return call;
}
