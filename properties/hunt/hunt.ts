/**
 * Random programs of raw calls on the step-by-step module, judged by the atomic one: every halt, every lock that is left
 * behind, every history that no order of its calls explains, shrunk and grouped by cause.
 */
import fc from 'fast-check';
import type { ModuleVersion } from '../../spec/tdx/versions.ts';
import { HistoryArbitrary } from '../histories/arbitrary.ts';
import type { History } from '../histories/history.ts';
import { shrink } from '../histories/shrink.ts';
import { formatHistory } from '../histories/text.ts';
import { check } from '../linearizability/check.ts';
import type { Limits } from '../linearizability/specification.ts';
import { HUNT_SHAPES } from './programs.ts';
import { EXIT, HistoryRecorder, type MadeCall } from './recorder.ts';
import { answerOf, AtomicModule } from './specification.ts';

export type OpState = 'INITIALIZED' | 'RUNNABLE';
export const OP_STATES: readonly OpState[] = ['RUNNABLE', 'INITIALIZED'];

/** What is wrong with a history. */
export interface Trouble {
  /** What came of it, without whose doing it is: what a shrunk history must still show. */
  readonly symptom: string;
  /** Every call that was made, and what it answered. */
  readonly calls: readonly string[];
  /** Functions that were called, each once, but for a VCPU's coming and going. */
  readonly functions: readonly string[];
}

/** A cause: which functions, called at the same time, lead to what. */
export interface HuntFinding {
  readonly cause: string;
  /** State of the TD when the history begins. */
  readonly opState: OpState;
  readonly calls: readonly string[];
  /** The shortest history that was found, as text. */
  readonly history: string;
}

/** Few calls on a tiny TD: whatever takes longer is counted as unknown. */
const LIMITS: Limits = { steps: 200_000, memory: 50_000 };
/** Histories with one symptom that are shrunk: their causes may differ. */
const SHRUNK_EACH = 6;
const SHRINK_BUDGET = 600;
/** Every VCPU does these, whatever is wrong. */
const COMES_AND_GOES: ReadonlySet<string> = new Set(['TDH.VP.ENTER', EXIT]);
/** Histories drawn at once. */
const BATCH = 256;
/** Batches have seeds of their own; those of two hunts should not meet. */
const SEEDS_APART = 0x9e3779b1;

/** Judges histories of raw calls that begin in one state of the TD. */
export class Hunter {
  private readonly recorder: HistoryRecorder;

  constructor(module: ModuleVersion, opState: OpState) {
    this.recorder = new HistoryRecorder(module, opState === 'RUNNABLE');
  }

  /** Runs a history; what is wrong with it, or null. */
  judge(history: History): Trouble | null {
    const recorded = this.recorder.record(history);
    const symptom = this.symptomOf(recorded);
    if (symptom === null) return null;
    const { calls } = recorded;
    return {
      symptom,
      calls: calls.toSorted((a, b) => a.invoked - b.invoked).map(({ actor, name, call }) => `${actor}: ${name} ${answerOf(call)}`),
      functions: [...new Set(calls.map(({ name }) => name))].filter((name) => !COMES_AND_GOES.has(name)).toSorted(),
    };
  }

  private symptomOf({ calls, halted, leaked, end }: ReturnType<HistoryRecorder['record']>): string | null {
    if (halted !== null) return `${halted.name} stops the platform`;
    if (leaked.length > 0) return `a lock is left behind: ${kindOfLock(leaked[0] ?? '')}`;
    const orphan = calls.find(({ isRefusedByNobody }) => isRefusedByNobody);
    if (orphan !== undefined) return `${orphan.name} is refused a lock that nobody holds`;
    const { world } = this.recorder;
    world.m.reset();
    const atomic = new AtomicModule(world, end);
    try {
      const outcome = check(atomic, calls, LIMITS);
      if (outcome.verdict !== 'unexplained') return null;
      return symptomOf(outcome.failure.op);
    } finally {
      atomic.close();
    }
  }
}

const symptomOf = (made: MadeCall | null): string =>
  (made === null ? 'no order ends in that state' : `no order explains ${made.name} answering ${answerOf(made.call)}`);

/** `page 36 word 0` is an entry, `PAMT_4K[36].lock` an entry of the PAMT: which one does not matter. */
const kindOfLock = (name: string): string => (name.startsWith('page') ? 'of an S-EPT entry or TD' : name.replace(/\[.*/, ''));

export interface HuntOptions {
  readonly module: ModuleVersion;
  readonly seed: number;
  /** Histories at most. */
  readonly runs: number;
  /** Asked between batches; true ends the hunt. */
  readonly expired?: () => boolean;
  /** Told how many histories there were, and how many causes. */
  readonly progress?: (histories: number, findings: number) => void;
}

export interface Hunt {
  readonly histories: number;
  readonly findings: readonly HuntFinding[];
}

/** Hunts in both states of a TD in turn. A function of the seed and the number of histories. */
export function hunt({ module, seed, runs, expired, progress }: HuntOptions): Hunt {
  const arbitrary = new HistoryArbitrary(...HUNT_SHAPES);
  const hunters = new Map(OP_STATES.map((opState) => [opState, new Hunter(module, opState)]));
  const findings = new Map<string, HuntFinding>();
  const seen = new Map<string, number>();
  let histories = 0;
  for (let batch = 0; histories < runs; batch++) {
    if (expired?.() === true) break;
    const drawn = fc.sample(arbitrary, { seed: Math.imul(seed, SEEDS_APART) + batch, numRuns: Math.min(BATCH, runs - histories) });
    for (const [opState, hunter] of hunters) {
      for (const history of drawn) {
        if (histories >= runs) break;
        histories++;
        const finding = pursue(hunter, opState, history, seen);
        if (finding !== null && isShorter(finding, findings.get(keyOf(finding)))) findings.set(keyOf(finding), finding);
      }
    }
    progress?.(histories, findings.size);
  }
  return { histories, findings: [...findings.values()].toSorted((a, b) => (keyOf(a) < keyOf(b) ? -1 : 1)) };
}

const keyOf = ({ cause, opState }: HuntFinding): string => `${cause} ${opState}`;
const isShorter = (a: HuntFinding, b: HuntFinding | undefined): boolean => b === undefined || a.history.length < b.history.length;

function pursue(hunter: Hunter, opState: OpState, history: History, seen: Map<string, number>): HuntFinding | null {
  const trouble = hunter.judge(history);
  if (trouble === null) return null;
  const key = `${opState} ${trouble.symptom}`;
  const times = seen.get(key) ?? 0;
  seen.set(key, times + 1);
  if (times >= SHRUNK_EACH) return null;
  const shrunk = shrink(history, (smaller) => hunter.judge(smaller)?.symptom === trouble.symptom, SHRINK_BUDGET).history;
  const { symptom, functions, calls } = hunter.judge(shrunk) ?? trouble;
  return { cause: `${symptom} (${functions.join(', ')})`, opState, calls, history: formatHistory(shrunk) };
}
