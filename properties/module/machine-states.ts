/**
 * States of a machine as values: a tree of differences, and one machine that is moved from state to
 * state. A backtracking search nearly always moves to a neighbour, which costs few writes.
 */
import type { Cell, Machine } from '../../spec/machine/machine.ts';
import { scatter } from '../linearizability/memo.ts';

/** A state that the machine has been in. Immutable. */
export interface MachineState {
  readonly parent: MachineState | null;
  readonly depth: number;
  /** The writes since the parent, in order: cell, before, after. */
  readonly writes: readonly number[];
  /** Two hashes of the difference from the first state. */
  readonly hash: number;
  readonly hash2: number;
}

const NOTHING: readonly number[] = [];
const SALT = 0x51ed270b;
const WORD = 3;
const TWO_21 = 2 ** 21;
const LOW_BITS = 11;

/** The states of one machine, from its current state on. */
export class MachineStates {
  readonly first: MachineState = { parent: null, depth: 0, writes: NOTHING, hash: 0, hash2: 0 };
  private readonly m: Machine;
  private at: MachineState = this.first;
  private log: number[] = [];
  private isLogging = false;
  private readonly listener = (cell: Cell, before: number, after: number): void => {
    if (this.isLogging) this.log.push(cell, before, after);
  };

  constructor(m: Machine) {
    this.m = m;
    m.onWrite.push(this.listener);
  }

  /** Call this before the machine is used for anything else. */
  close(): void {
    const at = this.m.onWrite.indexOf(this.listener);
    if (at >= 0) this.m.onWrite.splice(at, 1);
  }

  /** Moves the machine to a state. */
  move(to: MachineState): void {
    let up = this.at;
    let down = to;
    const way: MachineState[] = [];
    while (up !== down) {
      if (up.depth >= down.depth) {
        this.undo(up.writes);
        up = up.parent as MachineState; // two nodes of a tree meet at its root at the latest
      } else {
        way.push(down);
        down = down.parent as MachineState; // see above
      }
    }
    for (let i = way.length - 1; i >= 0; i--) this.redo((way[i] as MachineState).writes);
    this.at = to;
  }

  /** Runs `action` in a state and returns the resulting state. The machine stays in `from`. */
  after<T>(
    from: MachineState,
    action: () => T,
  ): { readonly result: T; readonly state: MachineState } {
    this.move(from);
    this.log = [];
    this.isLogging = true;
    try {
      const result = action();
      this.isLogging = false;
      return { result, state: this.stateOf(from, this.log) };
    } finally {
      this.isLogging = false;
      this.undo(this.log);
    }
  }

  /** Reads a state without changing it. */
  look<T>(at: MachineState, read: () => T): T {
    this.move(at);
    return read();
  }

  private stateOf(parent: MachineState, writes: readonly number[]): MachineState {
    let { hash, hash2 } = parent;
    for (let i = 0; i < writes.length; i += WORD) {
      const cell = writes[i] as number; // three numbers a write
      const before = writes[i + 1] as number;
      const after = writes[i + 2] as number;
      hash ^= hashOf(cell, before) ^ hashOf(cell, after);
      hash2 ^= hashOf(cell ^ SALT, before) ^ hashOf(cell ^ SALT, after);
    }
    return { parent, depth: parent.depth + 1, writes, hash, hash2 };
  }

  private undo(writes: readonly number[]): void {
    for (let i = writes.length - WORD; i >= 0; i -= WORD)
      this.m.poke(writes[i] as number, writes[i + 1] as number);
  }

  private redo(writes: readonly number[]): void {
    for (let i = 0; i < writes.length; i += WORD)
      this.m.poke(writes[i] as number, writes[i + 2] as number);
  }
}

const hashOf = (cell: number, value: number): number =>
  scatter(scatter(cell) ^ Math.imul(value, 0x2c1b3c6d));

/**
 * Identifies a state by 53 bits of hash: two of a million states share them once in twenty thousand
 * searches.
 */
export const keyOf = ({ hash, hash2 }: MachineState): number =>
  (hash >>> 0) * TWO_21 + (hash2 >>> LOW_BITS);
