/**
 * Is a run a function of its history? A policy that keeps state of its own between runs can pass by luck, and what it
 * fails by cannot be replayed. So histories are run twice, one after the other and then in the opposite order, on one
 * VM, and every write of the second run has to be that of the first.
 */
import fc from 'fast-check';
import { check, NotDeterministic, type CheckOptions, type Verdict } from './check.ts';
import { Engine, type EngineOptions } from './engine.ts';
import { HistoryArbitrary } from './histories/arbitrary.ts';
import { CORPUS } from './histories/corpus.ts';
import { shapesOf } from './shapes.ts';
import type { History } from './histories/history.ts';
import { formatHistory } from './histories/text.ts';

/** Histories that are run twice, besides the corpus: a fraction of a second. */
const SAMPLE = 200;

/**
 * {@link check} for a policy that is not ours. One that fails has had its counterexamples confirmed already.
 * @throws NotDeterministic, PolicyError
 */
export function checkForeign(options: CheckOptions): Verdict {
  const verdict = check(options);
  const shapes = options.shapes ?? shapesOf(options.policy);
  const random = fc.sample(new HistoryArbitrary(...shapes), { seed: options.seed, numRuns: SAMPLE });
  if (verdict.findings.length === 0) {
    const corpus = CORPUS.filter(({ vm }) => options.policy.vms.includes(vm));
    assertSteady(options, [...corpus, ...random]);
  }
  return verdict;
}

/** Runs each history twice. @throws NotDeterministic at the first step that is another one the second time */
export function assertSteady({ policy, module, guard }: EngineOptions, histories: readonly History[]): void {
  const options = { policy, module, ...(guard === undefined ? {} : { guard }), rules: false };
  const engines = new Map(policy.vms.map((kind) => [kind, new Engine({ ...options, kind })]));
  const writes = (history: History): Write[] => writesOf(engines.get(history.vm) as Engine, history); // one for each kind
  const before = histories.map(writes);
  for (const [index, history] of [...histories.entries()].toReversed()) {
    const difference = differenceOf(before[index] ?? [], writes(history));
    if (difference === null) continue;
    throw new NotDeterministic(
      `policy ${policy.name} is not deterministic: run again, '${formatHistory(history)}' parts at ${difference}; ` +
      'a policy keeps no state of its own between runs');
  }
}

/** One write: the step, the actor, and what was written as a text. */
interface Write {
  readonly step: number;
  readonly actor: string;
  readonly what: string;
}

/** What a run writes, in order; its end is the last. */
function writesOf(engine: Engine, history: History): Write[] {
  const { m } = engine.vm;
  const writes: Write[] = [];
  const note = (what: string): void => {
    writes.push({ step: m.now, actor: m.actors[m.current]?.name ?? 'nobody', what });
  };
  engine.run(history, { wrote: (cell, _, after) => note(`${m.nameOf(cell)} = ${after}`), note: () => {} });
  note('the end');
  return writes;
}

/** Where two runs part, or null where they do not. */
function differenceOf(before: readonly Write[], now: readonly Write[]): string | null {
  const at = now.findIndex((write, i) => write.step !== before[i]?.step || write.what !== before[i].what);
  const [was, is] = [before[at], now[at]];
  if (was === undefined || is === undefined) return null; // both have an end, so neither is a part of the other
  const first = was.step < is.step ? was : is;
  return `step ${first.step} (${first.actor}): first ${textOf(was)}, then ${textOf(is)}`;
}

const textOf = ({ step, what }: Write): string => `${what} at step ${step}`;
