/** A scene: two calls on a stage that is set up for them. */
import type { Cell } from '../../../../spec/machine/machine.ts';
import type { Steps } from '../../../../spec/machine/step.ts';
import type { Call, Operands } from '../../../../spec/tdx/call.ts';
import type { InterfaceFunction } from '../../../../spec/tdx/module.ts';
import { functionNamed, operandsOf, SetupError, type Stage } from './setups.ts';

/** One of the two calls. `null` as function: a VCPU that merely is in the guest. */
export interface Party {
  readonly fn: InterfaceFunction | null;
  readonly operands: Operands;
}

export interface Scene {
  readonly stage: Stage;
  readonly x: Party;
  readonly y: Party;
  /** The Secure EPT entry that the recording watches; -1 when there is none, or its table is gone. */
  readonly watched: () => Cell;
  /** Puts X's VCPU into its guest, when X is on the guest's side. */
  readonly enterX: () => void;
}

/** What recordings call a VCPU that is in the guest and does nothing. */
export const RUNNING_VCPU = '(VCPU running in guest)';

/** A suffix in parentheses says how the function is set up; it is no part of its name. */
export const functionOf = (recorded: string): string => recorded.replace(/\(.*\)$/, '');

export const party = (recorded: string, operands: Partial<Operands>): Party => ({
  fn: recorded === RUNNING_VCPU ? null : functionNamed(functionOf(recorded)),
  operands: operandsOf(operands),
});

/** Y, which has to do something. */
export function actingParty(recorded: string, operands: Partial<Operands>): Party {
  if (recorded === RUNNING_VCPU) throw new SetupError('Y is no call');
  return party(recorded, operands);
}

/** The call as steps; a VCPU that merely runs has none. */
export const begin = (stage: Stage, { fn, operands }: Party): Steps<Call> | null =>
  fn === null ? null : stage.tdx.invoke(fn, operands);
