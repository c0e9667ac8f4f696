/** Random decisions that depend on a seed alone. */
import fc from 'fast-check';

export class Dice {
  private readonly random: fc.Random;

  constructor(random: fc.Random) {
    this.random = random;
  }

  /** 0 to n-1. */
  below(n: number): number {
    return n <= 1 ? 0 : this.random.nextInt(0, n - 1);
  }

  /** True so many times in a hundred. */
  percent(chance: number): boolean {
    return this.below(100) < chance;
  }

  /** One of a list that is not empty. */
  pick<T>(list: readonly T[]): T {
    if (list.length === 0) throw new Error('nothing to pick from');
    return list[this.below(list.length)] as T; // below() stays within
  }

  /** One of a list, or null when it is empty. */
  pickOrNull<T>(list: readonly T[]): T | null {
    return list.length === 0 ? null : this.pick(list);
  }

  /** One of the rows, each as likely as its weight says. */
  weighted<T>(rows: readonly (readonly [weight: number, value: T])[]): T {
    let left = this.below(rows.reduce((sum, [weight]) => sum + weight, 0));
    for (const [weight, value] of rows) {
      left -= weight;
      if (left < 0) return value;
    }
    throw new Error('nothing to pick from');
  }

  /** The list in any order. */
  shuffled<T>(list: readonly T[]): T[] {
    const rest = [...list];
    return Array.from(list, () => rest.splice(this.below(rest.length), 1)[0] as T); // one is left for each
  }
}

/** What `make` makes of the dice of a seed. */
export function withDice<T>(seed: number, make: (dice: Dice) => T): T {
  return fc.sample(new Made(make), { seed, numRuns: 1 })[0] as T; // one run, one value
}

/** Draws from fast-check's generator; nothing is ever shrunk. */
class Made<T> extends fc.Arbitrary<T> {
  private readonly make: (dice: Dice) => T;

  constructor(make: (dice: Dice) => T) {
    super();
    this.make = make;
  }

  override generate(random: fc.Random): fc.Value<T> {
    return new fc.Value(this.make(new Dice(random)), undefined);
  }

  override canShrinkWithoutContext(_value: unknown): _value is T {
    return false;
  }

  override shrink(): fc.Stream<fc.Value<T>> {
    return fc.Stream.nil();
  }
}
