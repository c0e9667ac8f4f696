/**
 * Runs a scenario of raw calls step by step, and judges the recorded history by the atomic module:
 * a halt, a call that does not end, a lock that is left behind, a refusal without a holder, a
 * history that no order explains.
 */
import type { InterfaceFunction } from '../../../spec/tdx/module.ts';
import type { ModuleVersion } from '../../../spec/tdx/versions/index.ts';
import { building, supervised } from '../../checker/module-guard.ts';
import type { Scenario } from '../../checker/scenarios/scenario.ts';
import { check } from '../../linearizability/check.ts';
import type { Limits } from '../../linearizability/specification.ts';
import type { Beginning } from './beginnings.ts';
import { EXIT, HistoryRecorder, type RecordedCall, type History } from './recorder.ts';
import { answerOf, AtomicModule } from './specification.ts';

/** What is wrong with a history. */
export interface Anomaly {
  /** The effect, without its cause: a shrunk scenario must show the same symptom. */
  readonly symptom: string;
  /** Every call of the history with its answer, in the order in which the calls began. */
  readonly calls: readonly string[];
  /** The functions that were called, each once, without those of a vCPU's entry and exit. */
  readonly functions: readonly string[];
  /** What happened in the run; see facts.ts. */
  readonly facts: readonly string[];
}

export const UNDECIDED = 'undecided';
type Verdict = Anomaly | typeof UNDECIDED | null;
/** A history has few calls on a tiny TD: one that takes longer counts as undecided. */
const LIMITS: Limits = { steps: 200_000, memory: 50_000 };
/** Every vCPU enters and leaves, in histories with and without an anomaly. */
const ENTRY_AND_EXIT: ReadonlySet<string> = new Set(['TDH.VP.ENTER', EXIT]);

/** Judges scenarios that have one beginning. */
export class Hunter {
  private readonly recorder: HistoryRecorder;
  private readonly module: ModuleVersion;
  /** The calls of the scenario that was judged last, in the order in which they returned. */
  calls: readonly RecordedCall[] = [];
  /** Whether calls of that scenario overlapped; otherwise there was nothing to judge. */
  isJudged = false;

  constructor(
    module: ModuleVersion,
    beginning: Beginning,
    functions: readonly InterfaceFunction[] = [],
  ) {
    this.module = module;
    this.recorder = building(module, () => new HistoryRecorder(module, beginning, functions));
  }

  /** {@link judge} of a drawn scenario, and that scenario with its preemptions as steps. */
  judgeDrawn(drawn: Scenario): { readonly scenario: Scenario; readonly verdict: Verdict } {
    return supervised(this.module, () => {
      const { scenario, history } = this.recorder.recordDrawn(drawn);
      return { scenario, verdict: this.verdictOn(history) };
    });
  }

  /** Runs a scenario. Returns its anomaly, null if it has none, or `undecided`. */
  judge(scenario: Scenario): Verdict {
    return supervised(this.module, () => this.verdictOn(this.recorder.record(scenario)));
  }

  private verdictOn(history: History): Verdict {
    this.calls = history.calls;
    this.isJudged = overlaps(history.calls);
    const symptom = this.symptomOf(history);
    if (symptom === null || symptom === UNDECIDED) return symptom;
    const { calls, unended, facts } = history;
    const names = calls.map(({ name }) => name);
    return {
      symptom,
      facts,
      calls: inWords(calls),
      functions: [...new Set(unended === null ? names : [...names, unended])]
        .filter((name) => !ENTRY_AND_EXIT.has(name))
        .toSorted(),
    };
  }

  private symptomOf({ calls, halted, unended, leaked }: History): string | null {
    if (halted !== null) return `${halted.name} stops the platform`;
    if (unended !== null) return `${unended} does not end`;
    if (leaked.length > 0) return `a lock is left behind: ${kindOfLock(leaked[0] ?? '')}`;
    const refused = calls.find(({ isRefusedWithoutHolder }) => isRefusedWithoutHolder);
    if (refused !== undefined) return `${refused.name} is refused a lock that is not held`;
    if (!this.isJudged) return null;
    const { rig } = this.recorder;
    const end = this.recorder.end();
    rig.m.reset();
    const atomic = new AtomicModule(rig, end);
    try {
      if (atomic.isOrder(calls)) return null;
      rig.m.reset();
      if (atomic.isOrder(calls.toSorted((a, b) => a.invoked - b.invoked))) return null;
      rig.m.reset();
      const outcome = check(atomic, calls, LIMITS);
      if (outcome.verdict === 'explained') return null;
      if (outcome.verdict === 'unknown') return UNDECIDED;
      return unexplained(outcome.failure.op);
    } finally {
      atomic.close();
    }
  }
}

/** Calls with their answers, in the order in which the calls began. */
export const inWords = (calls: readonly RecordedCall[]): string[] =>
  calls
    .toSorted((a, b) => a.invoked - b.invoked)
    .map(({ actor, name, call }) => `${actor}: ${name} ${answerOf(call)}`);

/**
 * Two calls overlap. `calls` are in the order in which they returned. A history without overlap is
 * not judged: the atomic module would be compared with itself.
 */
const overlaps = (calls: readonly RecordedCall[]): boolean =>
  calls.some(({ invoked }, i) => i > 0 && invoked < (calls[i - 1]?.returned ?? 0));

const unexplained = (call: RecordedCall | null): string =>
  call === null
    ? 'no order ends in that state'
    : `no order explains ${call.name} answering ${answerOf(call.call)}`;

/** `page 36 word 0` is an entry, `PAMT_4K[36].lock` a lock of the PAMT; the number is ignored. */
const kindOfLock = (name: string): string =>
  name.startsWith('page') ? 'S-EPT entry or TD' : name.replace(/\[.*/, '');
