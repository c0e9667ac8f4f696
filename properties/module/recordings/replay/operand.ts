/** The operand of a status, as recorders write it. */
import type { Call } from '../../../../spec/tdx/call.ts';
import {
  classOf,
  INCONSISTENT_MSR,
  OPERAND_INVALID,
  operandName,
  operandOf,
} from '../../../../spec/tdx/status.ts';
import type { RecordedStep } from '../format/step.ts';

/** The recorder of 1.0 names an MSR, and RAX, whose id is 0; that of 1.5 leaves both out. */
const namesMsr = (step: RecordedStep, { status }: Call): boolean =>
  typeof step['operandName'] === 'string' && classOf(status) === INCONSISTENT_MSR;
const namesRax = (step: RecordedStep, { status }: Call): boolean =>
  step['operandId'] === 0 && status === OPERAND_INVALID;

/** The id of the operand; null if there is none, and for a TD exit. */
export function operandIdOf(step: RecordedStep, call: Call): number | null {
  if (call.exitReason >= 0) return null;
  if (namesRax(step, call)) return 0;
  return (call.wideOperand >= 0 ? call.wideOperand : operandOf(call.status)) || null;
}

/** Names that the recorder gives to the numbers of registers. */
const REGISTERS = ['RAX', 'RCX', 'RDX', 'RBX', 'RSP', 'RBP', 'RSI', 'RDI'];

/** The recorder names a value in bits 31:0 of RAX as if it were an operand. */
export function operandNameOf(step: RecordedStep, call: Call): string | null {
  const { status, wideOperand } = call;
  if (namesRax(step, call)) return 'RAX';
  if (namesMsr(step, call)) return `MSR 0x${operandOf(status).toString(16)}`;
  if (wideOperand <= 0) return operandName(status);
  return REGISTERS[wideOperand] ?? String(wideOperand);
}
