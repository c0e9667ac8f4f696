/** What rules remember of each actor. It is not state of the machine: nobody but the rule sees it. */
import { MAX_ACTORS, type Machine } from './machine.ts';

/** A number for each actor, and one for code that no actor runs; `initial` when a run begins. */
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

  /** That of the current actor. */
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

  /** The same for everybody. */
  fill(value: number): void {
    this.values.fill(value);
    this.isChanged = true;
  }

  /** For everybody but the current actor. */
  fillOthers(value: number): void {
    const { mine } = this;
    this.fill(value);
    this.mine = mine;
  }
}
