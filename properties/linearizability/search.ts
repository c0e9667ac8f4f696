/**
 * The search for an order of the operations of one partition: the algorithm of Wing and Gong, with
 * Lowe's memory of configurations. It chooses one operation at a time among those that began before
 * the first pending return, and takes back the last choice where none fits.
 *
 * One reduction: an operation that never changes anything, and may happen now, happens now. An
 * order in which it happens later stays an order if it happens now, as no other operation depends
 * on it; so this choice is never taken back for another.
 */
import { Memo, scatter } from './memo.ts';
import type { Limits, Outcome, Specification, Timed, Unexplained } from './specification.ts';
import { REFUSED, States } from './states.ts';
import { Timeline } from './timeline.ts';

/** Maximal number of states before the unexplained return that give a reason. */
const MAX_REASONS = 64;
/** The clock is read at steps whose number has none of these bits. */
const CLOCK_MASK = 0x3ff;

export class Search<State, Op extends Timed> {
  private readonly spec: Specification<State, Op>;
  private readonly ops: readonly Op[];
  private readonly limits: Limits;
  private readonly states: States<State, Op>;
  private readonly memo: Memo;
  private readonly done: Int32Array;
  private readonly time: Timeline;

  /** The choices made: operation, branch, and the state before. */
  private readonly chosen: Int32Array;
  private readonly branches: Int32Array;
  private readonly before: Int32Array;
  private readonly silent: Uint8Array;
  private depth = 0;

  /**
   * The furthest return at which the search got stuck (-1: none, 2n: the end), and the states at
   * it.
   */
  private furthest = -1;
  private readonly stuck = new Set<number>();

  constructor(spec: Specification<State, Op>, ops: readonly Op[], limits: Limits) {
    const n = ops.length;
    this.spec = spec;
    this.ops = ops;
    this.limits = limits;
    this.states = new States(spec, ops);
    this.done = new Int32Array((n + 31) >> 5);
    this.memo = new Memo(this.done.length);
    this.time = new Timeline(ops);
    this.chosen = new Int32Array(n);
    this.branches = new Int32Array(n);
    this.before = new Int32Array(n);
    this.silent = Uint8Array.from(ops, (op) => (spec.silent?.(op) === true ? 1 : 0));
  }

  run(): Outcome<Op> {
    let state = this.states.numberOf(this.spec.initial);
    let hash = 0;
    let entry = this.start(state);
    let branch = 0;
    if (this.mayEnd(state)) return this.explained();
    for (let steps = 1; ; steps++) {
      if (steps > this.limits.steps)
        return { verdict: 'unknown', why: `not decided in ${this.limits.steps} steps` };
      if (this.memo.size > this.limits.memory) {
        return {
          verdict: 'unknown',
          why: `not decided with ${this.limits.memory} configurations in memory`,
        };
      }
      if ((steps & CLOCK_MASK) === 0 && this.limits.expired?.() === true) {
        return { verdict: 'unknown', why: 'not decided in the time given' };
      }
      if (entry < this.ops.length) {
        // a call: done next, unless it is refused or leads to a known configuration
        const after = this.states.after(state, entry, branch);
        if (after === REFUSED) {
          entry = this.time.next[entry] as number; // a call has a next entry
          branch = 0;
          continue;
        }
        this.mark(entry);
        const hashAfter = hash ^ scatter(entry);
        if (!this.memo.add(this.done, after, hashAfter ^ scatter(~after))) {
          this.mark(entry);
          if (this.silent[entry] === 1) entry = this.time.head;
          else branch++;
          continue;
        }
        this.lift(entry, branch, state);
        state = after;
        hash = hashAfter;
        if (this.mayEnd(state)) return this.explained();
        entry = this.start(state);
        branch = 0;
        continue;
      }
      // a return whose call is not done, or the end of the list: the last choice was wrong
      this.noteStuck(entry, state);
      do {
        if (this.depth === 0) return { verdict: 'unexplained', failure: this.failure() };
        this.depth--;
        entry = this.chosen[this.depth] as number; // see lift()
        branch = (this.branches[this.depth] as number) + 1;
        state = this.before[this.depth] as number;
        this.mark(entry);
        hash ^= scatter(entry);
        this.time.putBack(entry);
      } while (this.silent[entry] === 1); // a silent operation has no alternative
    }
  }

  /**
   * First entry to try in a new configuration: an operation that never changes anything, if one is
   * possible.
   */
  private start(state: number): number {
    const {
      ops,
      time: { next, head },
    } = this;
    for (let entry = next[head] as number; entry < ops.length; entry = next[entry] as number) {
      if (this.silent[entry] === 1 && this.states.after(state, entry, 0) !== REFUSED) return entry;
    }
    return next[head] as number;
  }

  private mark(op: number): void {
    (this.done[op >> 5] as number) ^= 1 << (op & 31);
  }

  private lift(op: number, branch: number, state: number): void {
    this.chosen[this.depth] = op;
    this.branches[this.depth] = branch;
    this.before[this.depth] = state;
    this.depth++;
    this.time.take(op);
  }

  private mayEnd(state: number): boolean {
    if (this.time.required > 0) return false;
    if (this.spec.final === undefined || this.spec.final(this.states.at(state)) === null)
      return true;
    this.noteStuck(this.time.head, state);
    return false;
  }

  /** Notes that this configuration cannot pass the first return that is still in the list. */
  private noteStuck(entry: number, state: number): void {
    if (entry === this.time.head && this.time.required > 0) return;
    if (this.furthest >= 0 && this.time.position(entry) < this.time.position(this.furthest)) return;
    if (entry !== this.furthest) this.stuck.clear();
    this.furthest = entry;
    if (this.stuck.size < MAX_REASONS) this.stuck.add(state);
  }

  private explained(): Outcome<Op> {
    const order = Array.from(this.chosen.subarray(0, this.depth), (op) => this.ops[op] as Op);
    return { verdict: 'explained', order };
  }

  private failure(): Unexplained<Op> {
    const atEnd = this.furthest === this.time.head;
    // a return, see noteStuck()
    const op = atEnd ? null : (this.ops[this.furthest - this.ops.length] as Op);
    const reasons = [...this.stuck].map((state) => {
      const at = this.states.at(state);
      return op === null ? (this.spec.final?.(at) ?? '') : this.spec.refusal(at, op);
    });
    const until = op?.returned ?? Infinity;
    const prefix = this.ops
      .filter(({ invoked }) => invoked <= until)
      .toSorted((a, b) => a.invoked - b.invoked);
    return { op, refusals: [...new Set(reasons)], prefix };
  }
}
