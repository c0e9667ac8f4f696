/**
 * Draws random scenarios of raw calls, judges them, shrinks those with an anomaly, and groups them
 * by cause.
 */
import fc from 'fast-check';
import type { InterfaceFunction } from '../../../spec/tdx/module.ts';
import { versionData, type ModuleVersion } from '../../../spec/tdx/versions/index.ts';
import type { Scenario } from '../../checker/scenarios/scenario.ts';
import { formatScenario } from '../../checker/scenarios/text.ts';
import { HuntArbitrary } from './arbitrary.ts';
import { BEGINNINGS, type Beginning } from './beginnings.ts';
import { Coverage, type Exercised } from './coverage.ts';
import { Hunter, UNDECIDED, type Anomaly } from './hunter.ts';
import { knownFinding } from './known-findings.ts';
import { minimal } from './minimal.ts';
import { plansOf } from './programs.ts';

/** A cause: functions that lead to a symptom if they are called at the same time. */
export interface Cause {
  /** The symptom, with the functions in parentheses. */
  readonly title: string;
  /** The finding of docs/findings.md that it belongs to, or null. */
  readonly finding: string | null;
  /** The beginning of the TD in which the scenario begins. */
  readonly beginning: Beginning;
  /** Every beginning in which the cause was met. */
  readonly beginnings: readonly Beginning[];
  readonly calls: readonly string[];
  /** The shortest scenario that was found, as text. */
  readonly scenario: string;
}

/** The anomaly of a shrunk scenario. */
interface ShrunkAnomaly extends Anomaly {
  readonly beginning: Beginning;
  readonly scenario: string;
}

/**
 * Number of scenarios with one symptom that are shrunk, as their causes may differ: of those that
 * have the marks of a finding, and of others.
 */
const SHRUNK_KNOWN = 6;
const SHRUNK_NEW = 200;
/** Number of scenarios that are drawn at once. */
const BATCH = 256;
/** Each batch has a seed of its own; the seeds of two hunts do not meet. */
const SEED_FACTOR = 0x9e3779b1;

export interface HuntOptions {
  readonly module: ModuleVersion;
  /** Functions that replace the module's functions of the same names, for tests of the hunt. */
  readonly functions?: readonly InterfaceFunction[];
  readonly seed: number;
  /** Maximal number of scenarios. */
  readonly runs: number;
  /** Where scenarios begin (default: everywhere). */
  readonly beginnings?: readonly Beginning[];
  /** Number of actors of each scenario (default: two or three). */
  readonly actors?: number | undefined;
  /** Called between batches; true ends the hunt. */
  readonly expired?: () => boolean;
  /** Called with the numbers of scenarios and of different anomalies so far. */
  readonly progress?: (scenarios: number, anomalies: number) => void;
}

export interface HuntResult {
  readonly scenarios: number;
  /** Number of scenarios in which calls overlapped; the others show nothing. */
  readonly judged: number;
  /** Number of scenarios that the limits of the search left undecided. */
  readonly undecided: number;
  readonly causes: readonly Cause[];
  readonly exercised: Exercised;
}

/** Hunts with every beginning in turn. The result depends on the options and the number of runs. */
export function hunt({
  module,
  functions,
  seed,
  runs,
  beginnings = BEGINNINGS,
  actors,
  expired = () => false,
  progress,
}: HuntOptions): HuntResult {
  const tally = new Tally(module, functions);
  const version = versionData(module);
  const plans = plansOf(version)
    .map((plan) => ({
      beginnings: plan.beginnings.filter((beginning) => beginnings.includes(beginning)),
      arbitrary: new HuntArbitrary(actors, plan.shapes),
    }))
    .filter((plan) => plan.beginnings.length > 0);
  for (let batch = 0; tally.scenarios < runs && !expired(); batch++) {
    for (const [i, plan] of plans.entries()) {
      const drawn = fc.sample(plan.arbitrary, {
        seed: Math.imul(seed, SEED_FACTOR) + batch * plans.length + i,
        numRuns: Math.ceil(BATCH / plan.beginnings.length),
      });
      for (const beginning of plan.beginnings) {
        for (const scenario of drawn) if (tally.scenarios < runs) tally.judge(beginning, scenario);
      }
    }
    progress?.(tally.scenarios, tally.anomalies.size);
  }
  const { scenarios, judged, undecided, anomalies, coverage } = tally;
  return {
    scenarios,
    judged,
    undecided,
    causes: causesOf([...anomalies.values()]),
    exercised: coverage.of(version.functions.keys()),
  };
}

/** Of two equally long scenarios, the first in alphabetical order, so that seeds agree. */
const shorterFirst = (a: ShrunkAnomaly, b: ShrunkAnomaly): number =>
  a.functions.length - b.functions.length ||
  a.scenario.length - b.scenario.length ||
  a.scenario.localeCompare(b.scenario, 'en') ||
  BEGINNINGS.indexOf(a.beginning) - BEGINNINGS.indexOf(b.beginning);

/**
 * Groups anomalies by cause. Two with one symptom have one cause if the functions of the one are
 * among those of the other: only the smallest sets of functions are causes.
 */
function causesOf(anomalies: readonly ShrunkAnomaly[]): Cause[] {
  const groups: [ShrunkAnomaly, ...ShrunkAnomaly[]][] = [];
  for (const anomaly of anomalies.toSorted(shorterFirst)) {
    const group = groups.find(
      ([least]) =>
        least.symptom === anomaly.symptom &&
        least.functions.every((name) => anomaly.functions.includes(name)),
    );
    if (group === undefined) groups.push([anomaly]);
    else group.push(anomaly);
  }
  return groups
    .map((group): Cause => {
      const [shortest] = group;
      const { symptom, functions, beginning, calls, scenario } = shortest;
      const beginnings = BEGINNINGS.filter((name) => group.some((one) => one.beginning === name));
      const title = `${symptom} (${functions.join(', ')})`;
      const finding = knownFinding(shortest);
      return { title, finding, beginning, beginnings, calls, scenario };
    })
    .toSorted((a, b) => (a.title < b.title ? -1 : 1));
}

/** The results of a hunt so far. */
class Tally {
  scenarios = 0;
  judged = 0;
  undecided = 0;
  /** The shortest scenario for each symptom, set of functions and beginning. */
  readonly anomalies = new Map<string, ShrunkAnomaly>();
  readonly coverage = new Coverage();
  private readonly hunterAt: (beginning: Beginning) => Hunter;
  /** Number of scenarios with each beginning, symptom and finding. */
  private readonly seen = new Map<string, number>();

  constructor(module: ModuleVersion, functions?: readonly InterfaceFunction[]) {
    const hunters = new Map<Beginning, Hunter>();
    this.hunterAt = (beginning) => {
      const hunter = hunters.get(beginning) ?? new Hunter(module, beginning, functions);
      hunters.set(beginning, hunter);
      return hunter;
    };
  }

  judge(beginning: Beginning, drawn: Scenario): void {
    this.scenarios++;
    const hunter = this.hunterAt(beginning);
    const { scenario, verdict: anomaly } = hunter.judgeDrawn(drawn);
    this.coverage.count(beginning, hunter.calls);
    if (hunter.isJudged) this.judged++;
    if (anomaly === UNDECIDED) this.undecided++;
    if (anomaly === UNDECIDED || anomaly === null) return;
    const finding = knownFinding(anomaly);
    const key = `${beginning} ${anomaly.symptom} ${finding}`;
    const times = this.seen.get(key) ?? 0;
    this.seen.set(key, times + 1);
    if (times < (finding === null ? SHRUNK_NEW : SHRUNK_KNOWN))
      this.keep(shrunkAnomaly(hunter, beginning, scenario, anomaly));
  }

  private keep(anomaly: ShrunkAnomaly): void {
    const key = `${anomaly.beginning} ${anomaly.symptom} ${anomaly.functions.join()}`;
    const before = this.anomalies.get(key);
    if (before === undefined || shorterFirst(anomaly, before) < 0) this.anomalies.set(key, anomaly);
  }
}

function shrunkAnomaly(
  hunter: Hunter,
  beginning: Beginning,
  scenario: Scenario,
  anomaly: Anomaly,
): ShrunkAnomaly {
  const sameIn = (smaller: Scenario): Anomaly | null => {
    const judged = hunter.judge(smaller);
    return judged !== UNDECIDED && judged?.symptom === anomaly.symptom ? judged : null;
  };
  const least = minimal(scenario, (smaller) => sameIn(smaller) !== null);
  return { ...(sameIn(least) ?? anomaly), beginning, scenario: formatScenario(least) };
}
