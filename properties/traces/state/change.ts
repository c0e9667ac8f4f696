/**
 * A change of an SPTE: the values that its event carries, and the value that the tables hold. One
 * object is reused for every change.
 */
import { EMPTY, entryName, hexOf, type Kind } from './spte.ts';
import { UNKNOWN, type Table } from './table.ts';
import type { Mode, Task } from './task.ts';
import type { Vm } from './vm.ts';

/**
 * How the old value of a change relates to the value last written:
 *
 * - `fits`: they agree.
 * - `late`: the event of a write that preceded one whose event came first.
 * - `open`: they differ, and a later event may explain it.
 * - `odd`: they differ.
 * - `unknown`: the value last written is not known.
 */
export type Fit = 'fits' | 'late' | 'open' | 'odd' | 'unknown';

export class Change {
  vm!: Vm;
  task!: Task;
  line = 0;
  /** Null when the table is not known. */
  table: Table | null = null;
  index = 0;
  asId = 0;
  gfn = 0;
  level = 1;
  oldHi = 0;
  oldLo = 0;
  newHi = 0;
  newLo = 0;
  oldKind: Kind = EMPTY;
  newKind: Kind = EMPTY;
  /** Mode of mmu_lock that the event states; null when it states none. */
  mode: Mode | null = null;
  /** Written without the function that every other change goes through. */
  direct = false;
  /** A fast page fault: its event has the old value, from which the new one follows. */
  fast = false;
  fit: Fit = 'unknown';
  /** How much was known of the entry before the change, its value, and the line that wrote it. */
  known: number = UNKNOWN;
  modelHi = 0;
  modelLo = 0;
  modelLine = 0;
}

/** Text of a change in violations. */
export const valuesOf = (c: Change): string =>
  `${entryName(c.gfn, c.level)}: ${hexOf(c.oldHi, c.oldLo)} became ${hexOf(c.newHi, c.newLo)}`;

/** A change whose old value is not the value last written, without an explanation. */
export interface BrokenChain {
  readonly line: number;
  readonly text: string;
  readonly task: Task;
  readonly vm: Vm;
  readonly table: Table;
  readonly index: number;
  readonly level: number;
  readonly mode: Mode | null;
  readonly direct: boolean;
  readonly known: number;
  /** Value last written, and its line. */
  readonly fromHi: number;
  readonly fromLo: number;
  readonly fromLine: number;
  /** Old value of the change. */
  readonly toHi: number;
  readonly toLo: number;
}
