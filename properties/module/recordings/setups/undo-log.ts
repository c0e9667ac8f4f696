/** The writes to a machine's cells, remembered so that any number of them can be undone. */
import type { Cell, Machine } from '../../../../spec/machine/machine.ts';

/** The cost of undoing is that of what was written, however large the machine is. */
export class UndoLog {
  private readonly m: Machine;
  private readonly cells: Cell[] = [];
  private readonly before: number[] = [];
  private undoing = false;

  constructor(m: Machine) {
    this.m = m;
    m.onWrite.push((cell, before) => {
      if (this.undoing) return;
      this.cells.push(cell);
      this.before.push(before);
    });
  }

  /** Number of writes in the log: a point to return to. */
  get length(): number {
    return this.cells.length;
  }

  /** The cells that differ from what they were after the first `length` writes, as text. */
  changesSince(length: number, except: ReadonlySet<Cell>): string {
    const before = new Map<Cell, number>();
    for (let i = this.cells.length - 1; i >= length; i--)
      before.set(this.cells[i] as Cell, this.before[i] as number); // i is below both lengths
    const changes: string[] = [];
    for (const [cell, was] of before) {
      const now = this.m.peek(cell);
      if (now !== was && !except.has(cell)) changes.push(`${cell}:${now}`);
    }
    return changes.toSorted().join();
  }

  /** Undoes every write but the first `length`. */
  undo(length: number): void {
    this.undoing = true;
    for (let i = this.cells.length - 1; i >= length; i--) {
      this.m.poke(this.cells[i] as Cell, this.before[i] as number); // i is below both lengths
    }
    this.undoing = false;
    this.cells.length = length;
    this.before.length = length;
  }
}
