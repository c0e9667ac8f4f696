/**
 * The judge of concurrent histories. It looks for an order of the calls that respects real time and
 * in which the specification gives every result and the final state, and for a cause of every
 * refusal for a lock.
 */
import type { ModuleVersion } from '../../../../spec/tdx/versions/index.ts';
import { InputError } from '../../../files/input.ts';
import { readLines, type ParsedLine } from '../../../files/lines.ts';
import { check } from '../../../linearizability/check.ts';
import {
  DEFAULT_LIMITS,
  type Limits,
  type Outcome,
} from '../../../linearizability/specification.ts';
import { versionOf } from '../format/module-version.ts';
import { compareStep } from '../replay/compare-step.ts';
import { followStep } from '../replay/harness.ts';
import { perform } from '../replay/perform.ts';
import { Universes, type Slot, type Universe } from '../universe/universe.ts';
import { BusyCauses } from './busy-causes.ts';
import { comparable, impossible } from './final-state.ts';
import { parseRecordedHistory, type RecordedEvent, type RecordedHistory } from './format.ts';
import { knownFinding } from './known-finding.ts';
import { ModuleSpecification, operationOf, type EventOp } from './specification.ts';

export interface JudgedHistory {
  readonly id: string;
  readonly verdict: 'explained' | 'unexplained' | 'unknown';
  /** The finding of the module (docs/findings.md) without which it would be explained, or null. */
  readonly finding: string | null;
  /** The call that nothing explains, and what the specification allows; null when explained. */
  readonly why: string | null;
  /** The shortest prefix that nothing explains, as indexes of `events`; null if there is none. */
  readonly prefix: readonly number[] | null;
}

/** Judges histories one after the other, on one platform. */
export class HistoryJudge {
  private readonly universes: Universes;
  private readonly version: ModuleVersion | undefined;
  private readonly limits: Limits;

  /** `version`: by which to judge every history; else the one that its recording names. */
  constructor(version?: ModuleVersion, limits: Limits = DEFAULT_LIMITS) {
    this.universes = new Universes(version);
    this.version = version;
    this.limits = limits;
  }

  /** Judges the history on a line. @throws InputError if it is none */
  line(line: ParsedLine): JudgedHistory {
    return this.judge(parseRecordedHistory(line), line.where);
  }

  judge(history: RecordedHistory, where = 'the history'): JudgedHistory {
    const { id, events, config } = history;
    const causes = new BusyCauses(history, versionOf(config.module, this.version, where));
    for (const event of events.toSorted((a, b) => a.ret - b.ret)) {
      const why = causes.missing(event);
      if (why !== null)
        return {
          id,
          verdict: 'unexplained',
          finding: null,
          why,
          prefix: beginningBefore(events, event.ret),
        };
    }
    const left = impossible(history.final);
    if (left !== null)
      return {
        id,
        verdict: 'unexplained',
        finding: null,
        why: `the final state: ${left}`,
        prefix: [],
      };
    const u = this.universes.build(config, where);
    const differing = replayPrefix(u, history);
    if (differing !== null)
      return { id, verdict: 'unexplained', finding: null, why: differing, prefix: [] };
    const spec = new ModuleSpecification(u, comparable(history, u.tdx.version.encoding.lockBits));
    try {
      const search = (some: readonly RecordedEvent[]): Outcome<EventOp> =>
        check(spec, some.map(operationOf), this.limits);
      const outcome = search(events);
      if (outcome.verdict === 'explained')
        return { id, verdict: 'explained', finding: null, why: null, prefix: null };
      if (outcome.verdict === 'unknown')
        return { id, verdict: 'unknown', finding: null, why: outcome.why, prefix: null };
      const { op, refusals, prefix } = outcome.failure;
      const known = knownFinding(
        events,
        op?.event ?? null,
        (rest) => search(rest).verdict === 'explained',
      );
      const what = op === null ? 'the final state' : `event ${op.event.i} (${op.event.op})`;
      const why = known?.why ?? `${what}: ${refusals.join('; or ')}`;
      const finding = known?.finding ?? null;
      return {
        id,
        verdict: 'unexplained',
        finding,
        why,
        prefix: prefix.map(({ event }) => event.i),
      };
    } finally {
      spec.close();
    }
  }
}

/** Indexes of the events that began before a time, in the order in which they began. */
const beginningBefore = (events: readonly RecordedEvent[], time: number): number[] =>
  events.filter(({ inv }) => inv <= time).map(({ i }) => i);

/** Performs the calls before the race. Returns the first difference, or null. */
function replayPrefix(u: Universe, { prefix }: RecordedHistory): string | null {
  let first: string | null = null;
  for (const step of prefix) {
    const slot = u.slots.get(step.in.td) as Slot; // checked on reading
    const done = perform(u, slot, step);
    followStep(u, slot, step, done);
    compareStep({
      u,
      slot,
      step,
      done,
      report: (field, recorded, ours) => {
        first ??=
          `prefix step ${step.i} (${step.op}): ` +
          `${field} is ${recorded}; the specification allows ${ours}`;
      },
    });
  }
  return first;
}

/** Judges each history of a file, plain or gzipped. @throws InputError at the first invalid line */
export async function* judgeHistories(
  file: string,
  judgeLine: (line: ParsedLine) => JudgedHistory,
): AsyncGenerator<JudgedHistory> {
  let lines = 0;
  for await (const line of readLines(file)) {
    lines++;
    yield judgeLine(line);
  }
  if (lines === 0)
    throw new InputError(
      file,
      'holds no history',
      'give a concurrent recording, one history a line',
    );
}
