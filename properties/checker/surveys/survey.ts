/**
 * Measures counterexamples of a faulty policy over many seeds: the number of scenarios until one is
 * found, and its length after shrinking.
 */
import type { Policy } from '../../../impl/vm/policy.ts';
import { nameOf, type ModuleVersion } from '../../../spec/tdx/versions/index.ts';
import { check, type CheckOptions } from '../check.ts';

export interface Survey {
  readonly policy: string;
  /** The module's name. */
  readonly module: string;
  /** The rules that caught it, the most frequent first. */
  readonly rules: readonly string[];
  readonly seeds: number;
  /** Number of seeds from which it was caught within the budget. */
  readonly caught: number;
  /** Medians and maxima over the seeds from which it was caught. */
  readonly scenarios: number;
  readonly mostScenarios: number;
  readonly rows: number;
  readonly mostRows: number;
  readonly switches: number;
  /** The shortest counterexample, as text, and what it shows instead of what is expected. */
  readonly shortest: string;
  readonly seen: string;
}

/** Number of seeds of a survey, and of scenarios for each. */
export const SEEDS = 20;
export const BUDGET = 50_000;

/** Number of seeds, scenarios for each, and the scenarios to draw. */
interface SurveyOptions extends Pick<CheckOptions, 'tree' | 'shapes' | 'within'> {
  readonly seeds?: number;
  readonly budget?: number;
}

/** Checks `policy` by `rules` alone, from seeds 1 to `seeds`. */
export function survey(
  policy: Policy,
  module: ModuleVersion,
  rules: readonly string[],
  { seeds = SEEDS, budget = BUDGET, ...scenarios }: SurveyOptions = {},
): Survey {
  const options = { ...scenarios, policy, module, runs: budget, only: rules, stopAfter: 1 };
  const found = Array.from({ length: seeds }, (_, i) => i + 1).flatMap(
    (seed) => check({ ...options, seed }).counterexamples,
  );
  const rows = found.map(({ report }) => report.rows.length);
  const foundAfter = found.map((one) => one.foundAfter);
  const [shortest] = found.toSorted(
    ({ text: a }, { text: b }) => a.length - b.length || (a < b ? -1 : 1),
  );
  return {
    policy: policy.name,
    module: nameOf(module),
    rules: byFrequency(found.map(({ violation }) => violation.rule)),
    seeds,
    caught: found.length,
    scenarios: median(foundAfter),
    mostScenarios: Math.max(0, ...foundAfter),
    rows: median(rows),
    mostRows: Math.max(0, ...rows),
    switches: median(found.map(({ report }) => report.switches)),
    shortest: shortest?.text ?? '',
    seen: shortest?.violation.seen ?? '',
  };
}

function byFrequency(names: readonly string[]): string[] {
  const count = (name: string): number => names.filter((other) => other === name).length;
  return [...new Set(names)].toSorted((a, b) => count(b) - count(a) || (a < b ? -1 : 1));
}

/** The lower median; 0 of nothing. */
function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[(sorted.length - 1) >> 1] ?? 0;
}

/** Escapes a text for a cell of a Markdown table. */
export const cell = (text: string): string => text.replaceAll('|', '\\|');
