/**
 * The judge of sequential and life-cycle recordings. It replays every recorded call on the
 * specification and compares every recorded field.
 *
 * A step counts as differing once, however many of its fields differ. A final dump that differs
 * counts as one more step. After a difference, the replay continues from the specification's own
 * state, so one cause can make later steps differ: read the first difference of a scenario first.
 */
import { InputError } from '../../../files/input.ts';
import { readLines, type ParsedLine } from '../../../files/lines.ts';
import { isSequential } from '../format/config.ts';
import { parseRecordedScenario, type RecordedScenario } from '../format/scenario.ts';
import { injectionOf, type RecordedStep } from '../format/step.ts';
import { Universes, type Slot, type Universe } from '../universe/universe.ts';
import { compareFinal } from './compare-final.ts';
import { compareSept, compareState, compareStep, type ReportDifference } from './compare-step.ts';
import { followStep } from './harness.ts';
import {
  isKnownInjection,
  isKnownOp,
  isStray,
  needsVcpu,
  notPerformed,
  perform,
} from './perform.ts';
import { isKnownSetting } from './pseudo.ts';

/** One field in which the specification differs from a recording. */
export interface Difference {
  readonly scenario: string;
  /** The step's number, or `final` for the dump at the end. */
  readonly step: number | 'final';
  readonly op: string;
  readonly field: string;
  readonly recorded: string;
  readonly ours: string;
}

/** An operation, a status, and the number of steps with both. */
export interface Pair {
  readonly op: string;
  readonly status: string;
  readonly count: number;
}

/** The result of one scenario. */
export interface Replayed {
  readonly scenario: string;
  readonly steps: number;
  /** Number of steps that differ, the final dump counted as one. */
  readonly differing: number;
  /** Number of steps whose result means nothing, so that only their state was compared. */
  readonly strays: number;
  readonly differences: readonly Difference[];
  readonly pairs: readonly Pair[];
}

/** Replays each scenario of a file, plain or gzipped. @throws InputError at an invalid line */
export async function* replayFile(
  file: string,
  universes = new Universes(),
): AsyncGenerator<Replayed> {
  let lines = 0;
  for await (const line of readLines(file)) {
    lines++;
    yield replayLine(line, universes);
  }
  if (lines === 0)
    throw new InputError(file, 'holds no scenario', 'give a recording, one scenario a line');
}

/** Replays the scenario on a line. */
export function replayLine(line: ParsedLine, universes = new Universes()): Replayed {
  const scenario = parseRecordedScenario(line);
  const fault = unknownPart(scenario);
  if (fault !== null)
    throw new InputError(
      line.where,
      fault,
      'replay takes recordings of the functions it specifies',
    );
  return replayScenario(scenario, universes, line.where);
}

/** Names the first operation, TD, vCPU, setting or failure that is unknown; null if none is. */
function unknownPart({ config, steps }: RecordedScenario): string | null {
  const slots = isSequential(config) ? config.tds : config.tdSlots;
  const vcpus = new Map(slots.map((slot) => [slot.td, slot.tdvpr.length]));
  for (const step of steps) {
    const {
      i,
      op,
      in: { td, vcpu, data },
    } = step;
    const inject = injectionOf(step);
    if (!isKnownOp(op)) return `step ${i} has an unknown operation ${op}`;
    const count = vcpus.get(td);
    if (count === undefined) return `step ${i} uses TD ${td}, which config does not list`;
    if (needsVcpu(op) && vcpu === undefined) return `step ${i} does not say which vCPU makes it`;
    if ((vcpu ?? 0) >= Math.max(count, 1))
      return `step ${i} uses vCPU ${vcpu}, which config does not list`;
    if (!isKnownSetting(step))
      return `step ${i} sets an unknown life-cycle state ${data ?? ''}`.trim();
    if (inject !== undefined && !isKnownInjection(inject))
      return `step ${i} injects an unknown failure ${inject}`;
  }
  return null;
}

function replayScenario(scenario: RecordedScenario, universes: Universes, where: string): Replayed {
  const u = universes.build(scenario.config, where);
  const differences: Difference[] = [];
  let differing = 0;
  const judge = (
    step: number | 'final',
    op: string,
    compare: (report: ReportDifference) => void,
  ): void => {
    const before = differences.length;
    compare((field, recorded, ours) => {
      differences.push({ scenario: scenario.id, step, op, field, recorded, ours });
    });
    if (differences.length > before) differing++;
  };
  let halted = false;
  let strays = 0;
  for (const step of scenario.steps) {
    judge(step.i, step.op, (report) => {
      const slot = u.slots.get(step.in.td) as Slot; // unknownPart() has checked
      const stray = isStray(u, slot, step);
      if (stray) strays++;
      halted = replayStep(u, slot, step, stray, report);
    });
    if (halted) break;
  }
  if (!halted) judge('final', 'final', (report) => compareFinal(u, scenario.final, report));
  const { id, steps } = scenario;
  const pairs = pairsOf(steps);
  return { scenario: id, steps: steps.length, differing, strays, differences, pairs };
}

/** Replays one step, `stray` or not. Returns true if the module stopped the platform. */
function replayStep(
  u: Universe,
  slot: Slot,
  step: RecordedStep,
  stray: boolean,
  report: ReportDifference,
): boolean {
  compareSept(u, slot, step, 'septBefore', report);
  const done = stray ? notPerformed(step) : perform(u, slot, step);
  followStep(u, slot, step, done);
  (stray ? compareState : compareStep)({ u, slot, step, done, report });
  return done.result === 'HALT';
}

function pairsOf(steps: readonly RecordedStep[]): Pair[] {
  const counts = new Map<string, Map<string, number>>();
  for (const { op, statusName } of steps) {
    const status = String(statusName);
    const ofOp = counts.get(op) ?? new Map<string, number>();
    counts.set(op, ofOp.set(status, (ofOp.get(status) ?? 0) + 1));
  }
  return [...counts].flatMap(([op, ofOp]) =>
    [...ofOp].map(([status, count]) => ({ op, status, count })),
  );
}
