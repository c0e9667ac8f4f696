/**
 * The format of recorded concurrent histories: one JSON object a line, with the calls that set the
 * scene (`prefix`), those that raced (`events`, by the order in which they began), and the state at
 * the end.
 */
import * as v from 'valibot';
import { InputError } from '../../../files/input.ts';
import type { ParsedLine } from '../../../files/lines.ts';
import { count, sequentialConfig } from '../format/config.ts';
import { finalDump } from '../format/format.ts';
import { isObject, wrongField, type RecordedStep } from '../format/step.ts';
import { isKnownOp, needsVcpu } from '../replay/perform.ts';
import { isKnownSetting } from '../replay/pseudo.ts';

const HISTORY_HINT = 'judge takes concurrent recordings, one history a line';

const timed = v.looseObject({ t: count, inv: count, ret: count });
const history = v.object({
  id: v.string(),
  config: sequentialConfig,
  prefix: v.array(v.custom<RecordedStep>(isObject, 'expected an object')),
  events: v.array(timed),
  initial: v.optional(finalDump),
  final: finalDump,
});

/** A call of a thread, among calls of others. */
export interface RecordedEvent extends RecordedStep {
  /** Thread. */
  readonly t: number;
  /** When it began and ended, as places in one sequence of all beginnings and ends. */
  readonly inv: number;
  readonly ret: number;
}

export interface RecordedHistory extends Omit<v.InferOutput<typeof history>, 'events'> {
  readonly events: readonly RecordedEvent[];
}

/** The history on a line, or an InputError that says where it is not one. */
export function parseRecordedHistory({ where, value }: ParsedLine): RecordedHistory {
  const parsed = v.safeParse(history, value, { abortEarly: true });
  if (!parsed.success) {
    const [issue] = parsed.issues;
    throw new InputError(
      where,
      `${v.getDotPath(issue) ?? 'the line'}: ${issue.message}`,
      HISTORY_HINT,
    );
  }
  const { output } = parsed;
  // faultOf() looks at what the schema does not
  const events = output.events.map(
    (event, i): RecordedEvent => ({ ...event, i }) as unknown as RecordedEvent,
  );
  const vcpus = new Map(output.config.tds.map(({ td, tdvpr }) => [td, tdvpr.length]));
  const fault =
    faultOf('prefix', output.prefix, vcpus) ??
    faultOf('events', events, vcpus) ??
    events.find(({ inv, ret }) => ret < inv);
  if (typeof fault === 'string') throw new InputError(where, fault, HISTORY_HINT);
  if (fault !== undefined)
    throw new InputError(where, `event ${fault.i} ends before it begins`, HISTORY_HINT);
  return { ...output, events };
}

function faultOf(
  name: string,
  steps: readonly RecordedStep[],
  vcpus: ReadonlyMap<number, number>,
): string | null {
  for (const [at, step] of steps.entries()) {
    const field = wrongField(step);
    if (field !== null) return `${name}.${at}.${field} has the wrong shape`;
    const {
      op,
      in: { td, vcpu },
    } = step;
    if (!isKnownOp(op)) return `${name}.${at} has an unknown operation ${op}`;
    const known = vcpus.get(td);
    if (known === undefined) return `${name}.${at} speaks of TD ${td}, which config does not list`;
    if (needsVcpu(op) && vcpu === undefined)
      return `${name}.${at} does not say which vCPU makes it`;
    if ((vcpu ?? 0) >= Math.max(known, 1))
      return `${name}.${at} speaks of vCPU ${vcpu}, which config does not list`;
    if (!isKnownSetting(step)) return `${name}.${at} sets an unknown life-cycle state`;
  }
  return null;
}
