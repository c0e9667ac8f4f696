/**
 * Measures several contenders in turns (A B C A B C ...), so that whatever else the machine does
 * hits all of them alike, and answers medians.
 */

/** What a slice of work came to. */
export interface Work {
  readonly steps: number;
}

/** Something that can be done `amount` times. */
export interface Contender {
  readonly name: string;
  run(amount: number, seed: number): Promise<Work> | Work;
}

/** Times in milliseconds. */
export interface Plan {
  /** About how long a contender runs before it is measured. */
  readonly warmUp: number;
  readonly rounds: number;
  /** About how long a contender works in each round. */
  readonly slice: number;
}

/** The rates of one contender, a number for each round. */
export interface Measured {
  readonly name: string;
  /** Units (scenarios, mostly) a second. */
  readonly rates: readonly number[];
  /** Steps a second. */
  readonly stepRates: readonly number[];
}

/** Runs every contender once a round, after a warm-up. */
export async function inTurns(contenders: readonly Contender[], plan: Plan): Promise<Measured[]> {
  const runners: { contender: Contender; amount: number; rates: number[]; stepRates: number[] }[] =
    [];
  for (const contender of contenders) {
    runners.push({ contender, amount: await calibrate(contender, plan), rates: [], stepRates: [] });
  }
  for (let round = 0; round < plan.rounds; round++) {
    for (const { contender, amount, rates, stepRates } of runners) {
      const { seconds, work } = await timed(() => contender.run(amount, round + 1));
      rates.push(amount / seconds);
      stepRates.push(work.steps / seconds);
    }
  }
  return runners.map(({ contender, rates, stepRates }) => ({
    name: contender.name,
    rates,
    stepRates,
  }));
}

/**
 * Warms a contender up with more and more work, until it gets no faster; answers how much of it
 * fills a slice.
 */
async function calibrate(contender: Contender, { warmUp, slice }: Plan): Promise<number> {
  let before = 0;
  for (let amount = 8; ; amount *= 2) {
    const { seconds } = await timed(() => contender.run(amount, 0));
    const rate = amount / seconds;
    const isWarm = seconds * 1000 >= warmUp / 2 && rate < before * GETS_FASTER;
    if (isWarm) return Math.max(1, Math.round((rate * slice) / 1000));
    before = rate;
  }
}

/** More than that from one run to the next is not yet noise: the code is still being compiled. */
const GETS_FASTER = 1.15;

/** How long it takes. */
export async function timed<T>(
  work: () => Promise<T> | T,
): Promise<{ readonly seconds: number; readonly work: T }> {
  const start = performance.now();
  const done = await work();
  return { seconds: (performance.now() - start) / 1000, work: done };
}

export function median(numbers: readonly number[]): number {
  const sorted = numbers.toSorted((a, b) => a - b);
  const upper = sorted[sorted.length >> 1] ?? Number.NaN;
  const lower = sorted[(sorted.length - 1) >> 1] ?? Number.NaN;
  return (upper + lower) / 2;
}

/**
 * How many times as fast `a` is as `b`: the median over the rounds, in which both ran one after the
 * other.
 */
export const ratio = (a: Measured, b: Measured): number =>
  median(a.rates.map((rate, round) => rate / (b.rates[round] ?? Number.NaN)));
