/**
 * Draws random scenarios of raw calls, judges them, shrinks those with an anomaly, and groups them
 * by cause.
 */
import fc from 'fast-check';
import type { InterfaceFunction } from '../../../spec/tdx/module.ts';
import type { ModuleVersion } from '../../../spec/tdx/versions/index.ts';
import type { Scenario } from '../../checker/scenarios/scenario.ts';
import { formatScenario } from '../../checker/scenarios/text.ts';
import { HuntArbitrary } from './arbitrary.ts';
import { Hunter, UNDECIDED, type Anomaly } from './hunter.ts';
import { knownFinding } from './known-findings.ts';
import { minimal } from './minimal.ts';
import { PLANS } from './programs.ts';
import { TD_STAGES, type TdStage } from './td-stages.ts';

/** A cause: functions that lead to a symptom if they are called at the same time. */
export interface Cause {
  /** The symptom, with the functions in parentheses. */
  readonly title: string;
  /** The finding of docs/findings.md that it belongs to, or null. */
  readonly finding: string | null;
  /** The stage of the TD in which the scenario begins. */
  readonly stage: TdStage;
  /** Every stage in which the cause was met. */
  readonly stages: readonly TdStage[];
  readonly calls: readonly string[];
  /** The shortest scenario that was found, as text. */
  readonly scenario: string;
}

/** The anomaly of a shrunk scenario. */
interface ShrunkAnomaly extends Anomaly {
  readonly stage: TdStage;
  readonly scenario: string;
}

/** Number of scenarios with one symptom that are shrunk: their causes may differ. */
const SHRUNK_EACH = 6;
/** Number of scenarios that are drawn at once. */
const BATCH = 256;
/** Each batch has a seed of its own; the seeds of two hunts do not meet. */
const SEED_FACTOR = 0x9e3779b1;

interface HuntOptions {
  readonly module: ModuleVersion;
  /** Functions that replace the module's functions of the same names, for tests of the hunt. */
  readonly functions?: readonly InterfaceFunction[];
  readonly seed: number;
  /** Maximal number of scenarios. */
  readonly runs: number;
  /** Called between batches; true ends the hunt. */
  readonly expired?: () => boolean;
  /** Called with the numbers of scenarios and of different anomalies so far. */
  readonly progress?: (scenarios: number, anomalies: number) => void;
}

export interface HuntResult {
  readonly scenarios: number;
  /** Number of scenarios that the limits of the search left undecided. */
  readonly undecided: number;
  readonly causes: readonly Cause[];
}

/** Hunts in every stage of a TD in turn. The result depends on seed and number of runs alone. */
export function hunt({
  module,
  functions,
  seed,
  runs,
  expired = () => false,
  progress,
}: HuntOptions): HuntResult {
  const tally = new Tally(module, functions);
  const plans = PLANS.map(({ shapes, stages }) => ({
    stages,
    arbitrary: new HuntArbitrary(...shapes),
  }));
  for (let batch = 0; tally.scenarios < runs && !expired(); batch++) {
    for (const [i, { arbitrary, stages }] of plans.entries()) {
      const numRuns = Math.ceil(BATCH / stages.length);
      const drawn = fc.sample(arbitrary, {
        seed: Math.imul(seed, SEED_FACTOR) + batch * plans.length + i,
        numRuns,
      });
      for (const stage of stages) {
        for (const scenario of drawn) if (tally.scenarios < runs) tally.judge(stage, scenario);
      }
    }
    progress?.(tally.scenarios, tally.anomalies.size);
  }
  const { scenarios, undecided, anomalies } = tally;
  return { scenarios, undecided, causes: causesOf([...anomalies.values()]) };
}

/** Of two equally long scenarios, the first in alphabetical order, so that seeds agree. */
const shorterFirst = (a: ShrunkAnomaly, b: ShrunkAnomaly): number =>
  a.functions.length - b.functions.length ||
  a.scenario.length - b.scenario.length ||
  a.scenario.localeCompare(b.scenario, 'en') ||
  TD_STAGES.indexOf(a.stage) - TD_STAGES.indexOf(b.stage);

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
      const [{ symptom, functions, stage, calls, scenario }] = group;
      const stages = TD_STAGES.filter((name) => group.some((one) => one.stage === name));
      const title = `${symptom} (${functions.join(', ')})`;
      const finding = knownFinding(symptom, functions);
      return { title, finding, stage, stages, calls, scenario };
    })
    .toSorted((a, b) => (a.title < b.title ? -1 : 1));
}

/** The results of a hunt so far. */
class Tally {
  scenarios = 0;
  undecided = 0;
  /** The shortest scenario for each symptom, set of functions and stage. */
  readonly anomalies = new Map<string, ShrunkAnomaly>();
  private readonly hunters: ReadonlyMap<TdStage, Hunter>;
  /** Number of scenarios with each symptom in each stage. */
  private readonly seen = new Map<string, number>();

  constructor(module: ModuleVersion, functions?: readonly InterfaceFunction[]) {
    this.hunters = new Map(TD_STAGES.map((stage) => [stage, new Hunter(module, stage, functions)]));
  }

  judge(stage: TdStage, scenario: Scenario): void {
    this.scenarios++;
    const hunter = this.hunters.get(stage) as Hunter; // there is one for each stage
    const anomaly = hunter.judge(scenario);
    if (anomaly === UNDECIDED) this.undecided++;
    if (anomaly === UNDECIDED || anomaly === null) return;
    const key = `${stage} ${anomaly.symptom}`;
    const times = this.seen.get(key) ?? 0;
    this.seen.set(key, times + 1);
    if (times < SHRUNK_EACH) this.keep(shrunkAnomaly(hunter, stage, scenario, anomaly));
  }

  private keep(anomaly: ShrunkAnomaly): void {
    const key = `${anomaly.stage} ${anomaly.symptom} ${anomaly.functions.join()}`;
    const before = this.anomalies.get(key);
    if (before === undefined || shorterFirst(anomaly, before) < 0) this.anomalies.set(key, anomaly);
  }
}

function shrunkAnomaly(
  hunter: Hunter,
  stage: TdStage,
  scenario: Scenario,
  anomaly: Anomaly,
): ShrunkAnomaly {
  const sameIn = (smaller: Scenario): Anomaly | null => {
    const judged = hunter.judge(smaller);
    return judged !== UNDECIDED && judged?.symptom === anomaly.symptom ? judged : null;
  };
  const least = minimal(scenario, (smaller) => sameIn(smaller) !== null);
  return { ...(sameIn(least) ?? anomaly), stage, scenario: formatScenario(least) };
}
