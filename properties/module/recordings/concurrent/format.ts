/**
 * The format of recorded concurrent histories: one JSON object a line, with the calls before the
 * race (`prefix`), the calls that raced (`events`, in the order in which they began), and the state
 * at the end.
 */
import * as v from 'valibot';
import { InputError } from '../../../files/input.ts';
import type { ParsedLine } from '../../../files/lines.ts';
import { sequentialConfig } from '../format/config.ts';
import { finalDump } from '../format/scenario.ts';
import { isObject, wrongField, type RecordedStep } from '../format/step.ts';
import { count } from '../format/values.ts';
import { isKnownOp, needsVcpu } from '../replay/perform.ts';
import { isKnownSetting } from '../replay/pseudo.ts';

const ADVICE = 'judge takes concurrent recordings, one history a line';

const timed = v.looseObject({ t: count, inv: count, ret: count });
const history = v.object({
  id: v.string(),
  config: sequentialConfig,
  prefix: v.array(v.custom<RecordedStep>(isObject, 'expected an object')),
  events: v.array(timed),
  initial: v.optional(finalDump),
  final: finalDump,
});

/** A call of a thread, among calls of other threads. */
export interface RecordedEvent extends RecordedStep {
  /** Thread. */
  readonly t: number;
  /** Begin and end, as positions in one sequence of all begins and ends. */
  readonly inv: number;
  readonly ret: number;
}

export interface RecordedHistory extends Omit<v.InferOutput<typeof history>, 'events'> {
  readonly events: readonly RecordedEvent[];
}

/** Returns the history on a line. @throws InputError that names the first invalid field */
export function parseRecordedHistory({ where, value }: ParsedLine): RecordedHistory {
  const parsed = v.safeParse(history, value, { abortEarly: true });
  if (!parsed.success) {
    const [issue] = parsed.issues;
    throw new InputError(where, `${v.getDotPath(issue) ?? 'the line'}: ${issue.message}`, ADVICE);
  }
  const { output } = parsed;
  // faultOf() checks what the schema does not
  const events = output.events.map(
    (event, i): RecordedEvent => ({ ...event, i }) as unknown as RecordedEvent,
  );
  const vcpus = new Map(output.config.tds.map(({ td, tdvpr }) => [td, tdvpr.length]));
  const fault =
    faultOf('prefix', output.prefix, vcpus) ??
    faultOf('events', events, vcpus) ??
    events.find(({ inv, ret }) => ret < inv);
  if (typeof fault === 'string') throw new InputError(where, fault, ADVICE);
  if (fault !== undefined)
    throw new InputError(where, `event ${fault.i} ends before it begins`, ADVICE);
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
    if (known === undefined) return `${name}.${at} uses TD ${td}, which config does not list`;
    if (needsVcpu(op) && vcpu === undefined)
      return `${name}.${at} does not say which vCPU makes it`;
    if ((vcpu ?? 0) >= Math.max(known, 1))
      return `${name}.${at} uses vCPU ${vcpu}, which config does not list`;
    if (!isKnownSetting(step)) return `${name}.${at} sets an unknown life-cycle state`;
  }
  return null;
}
