/**
 * A change of an SPTE, as an event tells of it and as the account of the tables sees it. There is
 * one object.
 */
import { EMPTY, hexOf, type Kind } from './spte.ts';
import { UNKNOWN, type Table } from './table.ts';
import type { Mode, Task } from './task.ts';
import type { Vm } from './vm.ts';

/**
 * - `fits`: the old value is what was last written.
 * - `late`: the event of a write that came before one that was told of earlier.
 * - `open`: it does not fit, and an event that is still to come may explain it.
 * - `odd`: it does not fit.
 * - `unknown`: what was last written is not known.
 */
export type Fit = 'fits' | 'late' | 'open' | 'odd' | 'unknown';

export class Change {
  vm!: Vm;
  task!: Task;
  line = 0;
  /** Null when it cannot be told in which. */
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
  /** What the kernel says about the lock; null when it does not say. */
  mode: Mode | null = null;
  /** Written without the function that every other change goes through. */
  direct: boolean = false;
  /** A fast page fault, of which the old value is known and the new one follows. */
  fast = false;
  fit: Fit = 'unknown';
  /** Of the entry, before the change. */
  known: number = UNKNOWN;
  modelHi = 0;
  modelLo = 0;
  modelLine = 0;
}

/** As reports show it. */
export const valuesOf = (c: Change): string =>
  `GFN 0x${c.gfn.toString(16)} at level ${c.level}: ${hexOf(c.oldHi, c.oldLo)} became ${hexOf(c.newHi, c.newLo)}`;

/** A chain that does not fit, and was not explained. */
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
  /** What was last written, and where. */
  readonly fromHi: number;
  readonly fromLo: number;
  readonly fromLine: number;
  /** What was found. */
  readonly toHi: number;
  readonly toLo: number;
}
