/**
 * Calls and returns in order of time, as a linked list from which operations that are done are
 * removed, and into which they are put back in the opposite order.
 */
import type { Timed } from './specification.ts';

export class Timeline {
  /** Entry i is the call of operation i of n, entry n + i its return; 2n is the head, both ends. */
  readonly next: Int32Array;
  readonly head: number;
  /** Number of operations that have returned and are in the list. */
  required = 0;
  private readonly previous: Int32Array;
  private readonly positions: Int32Array;
  private readonly hasReturned: Uint8Array;
  private readonly count: number;

  /** Calls come first among equal times, so that intervals that touch overlap. */
  constructor(ops: readonly Timed[]) {
    const n = ops.length;
    this.count = n;
    this.head = 2 * n;
    this.next = new Int32Array(2 * n + 1);
    this.previous = new Int32Array(2 * n + 1);
    this.positions = new Int32Array(2 * n + 1);
    this.hasReturned = Uint8Array.from(ops, ({ returned }) => (returned === Infinity ? 0 : 1));
    const entries = ops.flatMap(({ invoked, returned }, op) =>
      returned === Infinity
        ? [[op, invoked] as const]
        : [[op, invoked] as const, [n + op, returned] as const],
    );
    entries.sort(([a, at], [b, bt]) => at - bt || Number(a >= n) - Number(b >= n) || a - b);
    this.required = entries.length - n;
    let last = this.head;
    for (const [position, [entry]] of entries.entries()) {
      this.positions[entry] = position;
      this.join(last, entry);
      last = entry;
    }
    this.join(last, this.head);
    this.positions[this.head] = entries.length;
  }

  /** Position of an entry in time; the head is last. */
  position(entry: number): number {
    return this.positions[entry] as number; // every entry has a position
  }

  /** Removes the call of an operation, and its return if there is one. */
  take(op: number): void {
    this.unlink(op);
    if (this.hasReturned[op] === 0) return;
    this.unlink(this.count + op);
    this.required--;
  }

  /** Puts back the operation that was removed last. */
  putBack(op: number): void {
    if (this.hasReturned[op] === 1) {
      this.relink(this.count + op);
      this.required++;
    }
    this.relink(op);
  }

  private unlink(entry: number): void {
    // every entry has neighbours
    this.join(this.previous[entry] as number, this.next[entry] as number);
  }

  private relink(entry: number): void {
    this.next[this.previous[entry] as number] = entry; // as in unlink()
    this.previous[this.next[entry] as number] = entry;
  }

  private join(before: number, after: number): void {
    this.next[before] = after;
    this.previous[after] = before;
  }
}
