/**
 * The states of a search, numbered, and the successors of each by each operation. The specification
 * is called once for every pair, however often the search needs it.
 */
import type { Specification, Timed } from './specification.ts';

/** The operation is refused. */
export const REFUSED = -1;
const UNKNOWN = -2;
/** Several states follow: `SEVERAL - i` is the i-th list of {@link States.lists}. */
const SEVERAL = -3;

export class States<State, Op extends Timed> {
  private readonly spec: Specification<State, Op>;
  private readonly ops: readonly Op[];
  private readonly states: State[] = [];
  private readonly rows: Int32Array[] = [];
  private readonly lists: number[][] = [];
  private readonly numbers = new Map<unknown, number>();
  private following: number[] = [];
  private readonly allow = (next: State): void => {
    const number = this.numberOf(next);
    if (!this.following.includes(number)) this.following.push(number);
  };

  constructor(spec: Specification<State, Op>, ops: readonly Op[]) {
    this.spec = spec;
    this.ops = ops;
  }

  numberOf(state: State): number {
    const key = this.spec.key === undefined ? state : this.spec.key(state);
    const known = this.numbers.get(key);
    if (known !== undefined) return known;
    this.numbers.set(key, this.states.length);
    this.rows.push(new Int32Array(this.ops.length).fill(UNKNOWN));
    return this.states.push(state) - 1;
  }

  /** The state with a number. */
  at(number: number): State {
    return this.states[number] as State; // numberOf() has returned the number
  }

  /** The `branch`-th successor of `from` by operation `op`, or {@link REFUSED}. */
  after(from: number, op: number, branch: number): number {
    const next = this.next(from, op);
    if (next > SEVERAL) return branch === 0 ? next : REFUSED;
    return this.lists[SEVERAL - next]?.[branch] ?? REFUSED;
  }

  private next(from: number, op: number): number {
    const row = this.rows[from] as Int32Array; // there is a row for each number
    const known = row[op] as number; // there is a column for each operation
    return known === UNKNOWN ? (row[op] = this.compute(from, op)) : known;
  }

  private compute(from: number, op: number): number {
    this.following = [];
    this.spec.step(this.at(from), this.ops[op] as Op, this.allow); // op is an index of ops
    const { following } = this;
    if (following.length === 0) return REFUSED;
    if (following.length === 1) return following[0] as number; // the length is 1
    return SEVERAL - (this.lists.push(following) - 1);
  }
}
