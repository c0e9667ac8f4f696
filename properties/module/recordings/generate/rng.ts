/** Random numbers that depend on a seed alone. */
import fc from 'fast-check';

export class Rng {
  private readonly random: fc.Random;

  constructor(random: fc.Random) {
    this.random = random;
  }

  /** 0 to n-1. */
  below(n: number): number {
    return n <= 1 ? 0 : this.random.nextInt(0, n - 1);
  }

  /** True with a probability of `chance` percent. */
  percent(chance: number): boolean {
    return this.below(100) < chance;
  }

  /** One item of a list. @throws Error if the list is empty */
  pick<T>(list: readonly T[]): T {
    if (list.length === 0) throw new Error('nothing to pick from');
    return list[this.below(list.length)] as T; // below() stays within
  }

  /** One item of a list, or null if the list is empty. */
  pickOrNull<T>(list: readonly T[]): T | null {
    return list.length === 0 ? null : this.pick(list);
  }

  /** The value of one of the rows, with a probability in proportion to its weight. */
  weighted<T>(rows: readonly (readonly [weight: number, value: T])[]): T {
    let left = this.below(rows.reduce((sum, [weight]) => sum + weight, 0));
    for (const [weight, value] of rows) {
      left -= weight;
      if (left < 0) return value;
    }
    throw new Error('nothing to pick from');
  }

  /** The list in a random order. */
  shuffled<T>(list: readonly T[]): T[] {
    const rest = [...list];
    // one is left for each
    return Array.from(list, () => rest.splice(this.below(rest.length), 1)[0] as T);
  }
}

/** Returns what `make` returns for the generator of a seed. */
export function withRng<T>(seed: number, make: (rng: Rng) => T): T {
  return fc.sample(new RngArbitrary(make), { seed, numRuns: 1 })[0] as T; // one run, one value
}

/** Gives access to fast-check's generator. Nothing is shrunk. */
class RngArbitrary<T> extends fc.Arbitrary<T> {
  private readonly make: (rng: Rng) => T;

  constructor(make: (rng: Rng) => T) {
    super();
    this.make = make;
  }

  override generate(random: fc.Random): fc.Value<T> {
    return new fc.Value(this.make(new Rng(random)), undefined);
  }

  override canShrinkWithoutContext(_value: unknown): _value is T {
    return false;
  }

  override shrink(): fc.Stream<fc.Value<T>> {
    return fc.Stream.nil();
  }
}
