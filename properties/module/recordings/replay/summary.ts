/** Adds up the results of many replayed scenarios. */
import type { Difference, Pair, Replayed } from './replay.ts';

export interface Summary {
  readonly scenarios: number;
  readonly steps: number;
  /** Number of differing steps; a final dump that differs counts as one. */
  readonly differing: number;
  /** Number of steps of which only the state was compared: a guest's, outside the guest. */
  readonly strays: number;
  /** Recorded operations with their statuses, in alphabetical order. */
  readonly pairs: readonly Pair[];
  /** The first differences, up to the requested number. */
  readonly differences: readonly Difference[];
}

/** Keeps the first `limit` differences. */
export class SummaryBuilder {
  private scenarios = 0;
  private steps = 0;
  private differing = 0;
  private strays = 0;
  private readonly counts = new Map<string, Pair>();
  private readonly first: Difference[] = [];
  private readonly limit: number;

  constructor(limit: number) {
    this.limit = limit;
  }

  add(replayed: Replayed): void {
    this.scenarios++;
    this.steps += replayed.steps;
    this.differing += replayed.differing;
    this.strays += replayed.strays;
    this.first.push(...replayed.differences.slice(0, this.limit - this.first.length));
    for (const { op, status, count } of replayed.pairs) {
      const key = `${op} ${status}`;
      this.counts.set(key, { op, status, count: (this.counts.get(key)?.count ?? 0) + count });
    }
  }

  get summary(): Summary {
    const pairs = [...this.counts.entries()]
      .toSorted(([a], [b]) => (a < b ? -1 : 1))
      .map(([, pair]) => pair);
    const { scenarios, steps, differing, strays, first: differences } = this;
    return { scenarios, steps, differing, strays, pairs, differences };
  }
}
