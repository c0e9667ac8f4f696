/** Numbers that rules keep for each actor: no state of the machine, as no actor reads them. */
import { MAX_ACTORS, type Machine } from './machine.ts';

/** A number for each actor, and for code that no actor runs; `initial` at the start of a run. */
export class PerActor {
  private readonly m: Machine;
  private readonly values = new Int32Array(MAX_ACTORS + 1);
  private readonly initial: number;
  private isChanged = false;

  constructor(m: Machine, initial = 0) {
    this.m = m;
    this.initial = initial;
    this.values.fill(initial);
    m.onReset(() => {
      if (this.isChanged) this.values.fill(initial);
      this.isChanged = false;
    });
  }

  /** The current actor's number. */
  get mine(): number {
    return this.of(this.m.current);
  }

  set mine(value: number) {
    this.set(this.m.current, value);
  }

  of(actor: number): number {
    return this.values[actor + 1] ?? this.initial;
  }

  set(actor: number, value: number): void {
    this.values[actor + 1] = value;
    this.isChanged = true;
  }

  /** Sets the number of every actor. */
  fill(value: number): void {
    this.values.fill(value);
    this.isChanged = true;
  }

  /** Sets the number of every actor but the current one. */
  fillOthers(value: number): void {
    const { mine } = this;
    this.fill(value);
    this.mine = mine;
  }
}
