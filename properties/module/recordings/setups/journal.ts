import type { Cell, Machine } from '../../../../spec/machine/machine.ts';

/**
 * Remembers what a machine's cells held before they were written, so that any number of writes can
 * be taken back. To go back costs what was written, however large the machine is.
 */
export class Journal {
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

  /** Writes remembered so far: a point to go back to. */
  get length(): number {
    return this.cells.length;
  }

  /** Takes back every write made since there were `length`. */
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
