/** What rules remember of a run by page, GFN or vCPU. It is no state of the machine. */
import type { Machine } from '../../../spec/machine/machine.ts';

/** `length` numbers that are 0 when a run begins. */
export function numbersPerRun(m: Machine, length: number): Int32Array {
  const numbers = new Int32Array(length);
  m.onReset(() => numbers.fill(0));
  return numbers;
}
