/**
 * Random programs of raw calls on the step-by-step module, judged by the atomic one: every halt,
 * every lock that is left behind, every history that no order of its calls explains, shrunk and
 * grouped by cause.
 */
import fc from 'fast-check';
import type { InterfaceFunction } from '../../../spec/tdx/module.ts';
import type { ModuleVersion } from '../../../spec/tdx/versions.ts';
import type { Scenario } from '../../checker/scenarios/scenario.ts';
import { formatScenario } from '../../checker/scenarios/text.ts';
import { check } from '../../linearizability/check.ts';
import type { Limits } from '../../linearizability/specification.ts';
import { HuntArbitrary } from './arbitrary.ts';
import { BEGINNINGS, type Beginning } from './beginnings.ts';
import { knownCause } from './known.ts';
import { minimal } from './minimal.ts';
import { GROUNDS } from './programs.ts';
import { EXIT, HistoryRecorder, type MadeCall } from './recorder.ts';
import { answerOf, AtomicModule } from './specification.ts';

/** What is wrong with a history. */
export interface Trouble {
  /** What came of it, without whose doing it is: what a shrunk history must still show. */
  readonly symptom: string;
  /** Every call that was made, and what it answered. */
  readonly calls: readonly string[];
  /** Functions that were called, each once, but for a vCPU's coming and going. */
  readonly functions: readonly string[];
}

/** A cause: which functions, called at the same time, lead to what. */
export interface HuntFinding {
  readonly cause: string;
  /** Which finding of docs/findings.md it is, or null. */
  readonly known: string | null;
  /** State of the TD when the history begins. */
  readonly state: Beginning;
  /** Every state in which the cause was met. */
  readonly states: readonly Beginning[];
  readonly calls: readonly string[];
  /** The shortest history that was found, as text. */
  readonly history: string;
}

/** What one history shows, before it is grouped with others. */
interface Shown extends Trouble {
  readonly state: Beginning;
  readonly history: string;
}

const UNDECIDED = 'undecided';
/** Few calls on a tiny TD: whatever takes longer is counted as undecided. */
const LIMITS: Limits = { steps: 200_000, memory: 50_000 };
/** Histories with one symptom that are shrunk: their causes may differ. */
const SHRUNK_EACH = 6;
/** Every vCPU does these, whatever is wrong. */
const COMES_AND_GOES: ReadonlySet<string> = new Set(['TDH.VP.ENTER', EXIT]);
/** Histories drawn at once. */
const BATCH = 256;
/** Batches have seeds of their own; those of two hunts should not meet. */
const SEEDS_APART = 0x9e3779b1;

/** Judges histories of raw calls that begin in one state of the TD. */
export class Hunter {
  private readonly recorder: HistoryRecorder;

  constructor(
    module: ModuleVersion,
    state: Beginning,
    functions: readonly InterfaceFunction[] = [],
  ) {
    this.recorder = new HistoryRecorder(module, state, functions);
  }

  /**
   * Runs a history; what is wrong with it, null when nothing is, or `undecided` when that took too
   * long to find out.
   */
  judge(history: Scenario): Trouble | 'undecided' | null {
    const recorded = this.recorder.record(history);
    const symptom = this.symptomOf(recorded);
    if (symptom === null || symptom === UNDECIDED) return symptom;
    const { calls } = recorded;
    return {
      symptom,
      calls: calls
        .toSorted((a, b) => a.invoked - b.invoked)
        .map(({ actor, name, call }) => `${actor}: ${name} ${answerOf(call)}`),
      functions: [...new Set(calls.map(({ name }) => name))]
        .filter((name) => !COMES_AND_GOES.has(name))
        .toSorted(),
    };
  }

  private symptomOf({
    calls,
    halted,
    leaked,
    end,
  }: ReturnType<HistoryRecorder['record']>): string | null {
    if (halted !== null) return `${halted.name} stops the platform`;
    if (leaked.length > 0) return `a lock is left behind: ${kindOfLock(leaked[0] ?? '')}`;
    const orphan = calls.find(({ isRefusedByNobody }) => isRefusedByNobody);
    if (orphan !== undefined) return `${orphan.name} is refused a lock that nobody holds`;
    if (!overlaps(calls)) return null;
    const { rig } = this.recorder;
    rig.m.reset();
    const atomic = new AtomicModule(rig, end);
    try {
      const outcome = check(atomic, calls, LIMITS);
      if (outcome.verdict === 'explained') return null;
      if (outcome.verdict === 'unknown') return UNDECIDED;
      return symptomOf(outcome.failure.op);
    } finally {
      atomic.close();
    }
  }
}

/**
 * Calls are in the order in which they ended. Those that were made one after the other are what
 * they are judged by.
 */
const overlaps = (calls: readonly MadeCall[]): boolean =>
  calls.some(({ invoked }, i) => i > 0 && invoked < (calls[i - 1]?.returned ?? 0));

const symptomOf = (made: MadeCall | null): string =>
  made === null
    ? 'no order ends in that state'
    : `no order explains ${made.name} answering ${answerOf(made.call)}`;

/** `page 36 word 0` is an entry, `PAMT_4K[36].lock` an entry of the PAMT: which one does not matter. */
const kindOfLock = (name: string): string =>
  name.startsWith('page') ? 'of an S-EPT entry or TD' : name.replace(/\[.*/, '');

export interface HuntOptions {
  readonly module: ModuleVersion;
  /** Instead of the module's functions of the same names: for modules that are to be caught. */
  readonly functions?: readonly InterfaceFunction[];
  readonly seed: number;
  /** Histories at most. */
  readonly runs: number;
  /** Asked between batches; true ends the hunt. */
  readonly expired?: () => boolean;
  /** Told how many histories there were, and how many of different symptoms and functions. */
  readonly progress?: (histories: number, findings: number) => void;
}

export interface Hunt {
  readonly histories: number;
  /** Of these, how many could not be decided within the limits of the search. */
  readonly undecided: number;
  readonly findings: readonly HuntFinding[];
}

/** Hunts in every state of a TD in turn. A function of the seed and the number of histories. */
export function hunt({
  module,
  functions,
  seed,
  runs,
  expired = () => false,
  progress,
}: HuntOptions): Hunt {
  const pursuit = new Pursuit(module, functions);
  const grounds = GROUNDS.map(({ shapes, beginnings }) => ({
    beginnings,
    arbitrary: new HuntArbitrary(...shapes),
  }));
  for (let batch = 0; pursuit.histories < runs && !expired(); batch++) {
    for (const [i, { arbitrary, beginnings }] of grounds.entries()) {
      const numRuns = Math.ceil(BATCH / beginnings.length);
      const drawn = fc.sample(arbitrary, {
        seed: Math.imul(seed, SEEDS_APART) + batch * grounds.length + i,
        numRuns,
      });
      for (const state of beginnings) {
        for (const history of drawn) if (pursuit.histories < runs) pursuit.follow(state, history);
      }
    }
    progress?.(pursuit.histories, pursuit.shown.size);
  }
  return {
    histories: pursuit.histories,
    undecided: pursuit.undecided,
    findings: grouped([...pursuit.shown.values()]),
  };
}

/** Of two that are as short the first in the alphabet, so that seeds agree. */
const shorterFirst = (a: Shown, b: Shown): number =>
  a.functions.length - b.functions.length ||
  a.history.length - b.history.length ||
  a.history.localeCompare(b.history, 'en') ||
  BEGINNINGS.indexOf(a.state) - BEGINNINGS.indexOf(b.state);

/**
 * One symptom with no function more than another needs is that other's: only the least sets of
 * functions are causes.
 */
function grouped(shown: readonly Shown[]): HuntFinding[] {
  const groups: [Shown, ...Shown[]][] = [];
  for (const one of shown.toSorted(shorterFirst)) {
    const group = groups.find(
      ([least]) =>
        least.symptom === one.symptom &&
        least.functions.every((name) => one.functions.includes(name)),
    );
    if (group === undefined) groups.push([one]);
    else group.push(one);
  }
  return groups
    .map((group): HuntFinding => {
      const [{ symptom, functions, state, calls, history }] = group;
      const states = BEGINNINGS.filter((name) => group.some((one) => one.state === name));
      const cause = `${symptom} (${functions.join(', ')})`;
      return { cause, known: knownCause(symptom, functions), state, states, calls, history };
    })
    .toSorted((a, b) => (a.cause < b.cause ? -1 : 1));
}

/** A hunt under way: what was found so far. */
class Pursuit {
  histories = 0;
  undecided = 0;
  /** The shortest of each symptom, set of functions and state. */
  readonly shown = new Map<string, Shown>();
  private readonly hunters: ReadonlyMap<Beginning, Hunter>;
  /** How often each symptom was met in each state. */
  private readonly seen = new Map<string, number>();

  constructor(module: ModuleVersion, functions?: readonly InterfaceFunction[]) {
    this.hunters = new Map(
      BEGINNINGS.map((state) => [state, new Hunter(module, state, functions)]),
    );
  }

  follow(state: Beginning, history: Scenario): void {
    this.histories++;
    const hunter = this.hunters.get(state) as Hunter; // there is one for each
    const trouble = hunter.judge(history);
    if (trouble === UNDECIDED) this.undecided++;
    if (trouble === UNDECIDED || trouble === null) return;
    const key = `${state} ${trouble.symptom}`;
    const times = this.seen.get(key) ?? 0;
    this.seen.set(key, times + 1);
    if (times >= SHRUNK_EACH) return;
    const shown = leastOf(hunter, state, history, trouble);
    const place = `${state} ${shown.symptom} ${shown.functions.join()}`;
    const before = this.shown.get(place);
    if (before === undefined || shorterFirst(shown, before) < 0) this.shown.set(place, shown);
  }
}

function leastOf(hunter: Hunter, state: Beginning, history: Scenario, trouble: Trouble): Shown {
  const again = (smaller: Scenario): Trouble | null => {
    const judged = hunter.judge(smaller);
    return judged !== UNDECIDED && judged?.symptom === trouble.symptom ? judged : null;
  };
  const least = minimal(history, (smaller) => again(smaller) !== null);
  return { ...(again(least) ?? trouble), state, history: formatScenario(least) };
}
