/**
 * Measures several contenders in turns (A B C A B C ...), so that other load on the machine affects
 * all of them equally, and returns medians.
 */

/** The work of one slice. */
export interface Work {
  readonly steps: number;
}

/** A unit of work that can be repeated. */
export interface Contender {
  readonly name: string;
  run(amount: number, seed: number): Promise<Work> | Work;
}

/** Times in milliseconds. */
export interface Plan {
  /** Approximate time for which a contender runs before it is measured. */
  readonly warmUp: number;
  readonly rounds: number;
  /** Approximate time for which a contender runs in each round. */
  readonly slice: number;
}

/** The rates of one contender, one for each round. */
export interface Measured {
  readonly name: string;
  /** Units (mostly scenarios) a second. */
  readonly rates: readonly number[];
  /** Steps a second. */
  readonly stepRates: readonly number[];
}

/** Runs every contender once in each round, after a warm-up. */
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
 * Warms a contender up with more and more work until it gets no faster. Returns the amount of work
 * that fills a slice.
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

/** A larger speed-up from one run to the next is no noise: the code is still being compiled. */
const GETS_FASTER = 1.15;

/** Runs `work` and measures its time. */
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

/** The rate of `a` divided by that of `b`: the median over the rounds. */
export const ratio = (a: Measured, b: Measured): number =>
  median(a.rates.map((rate, round) => rate / (b.rates[round] ?? Number.NaN)));
