/**
 * The format of recorded scenarios: one JSON object a line. Sequential and life-cycle recordings
 * differ in `config` and in the fields about the TD after each step.
 */
import * as v from 'valibot';
import { InputError } from '../../../files/input.ts';
import type { ParsedLine } from '../../../files/lines.ts';
import { lifecycleConfig, sequentialConfig, type Config } from './config.ts';
import { isObject, wrongField, type RecordedStep } from './step.ts';
import { count, hex, pair } from './values.ts';

/** Longest run in a dump: no table of a recording has more entries. */
const MAX_RUN = 1 << 22;
const run = v.optional(v.pipe(count, v.minValue(1), v.maxValue(MAX_RUN)), 1);
const level = v.pipe(count, v.maxValue(4));

const septRow = v.object({ gpa: hex, level, raw: hex, state: v.string(), hpa: hex, count: run });
const pamtRow = v.object({
  hpa: hex,
  size: v.picklist(['4K', '2M', '1G']),
  type: v.string(),
  owner: hex,
  bepoch: count,
  lockRaw: v.optional(count, 0),
  count: run,
});
const kotRow = v.object({ hkid: count, state: v.string(), wbinvdBitmap: count });
const wbtRow = v.object({ pkg: count, intrPoint: count, hkids: v.array(count) });
export type SeptRow = v.InferOutput<typeof septRow>;
export type PamtRow = v.InferOutput<typeof pamtRow>;
export type KotRow = v.InferOutput<typeof kotRow>;
export type WbtRow = v.InferOutput<typeof wbtRow>;

/** A field of a TD or vCPU. */
export type Scalar = string | number | boolean | null;

export const finalDump = v.object({
  tds: v.array(
    v.looseObject({
      td: count,
      epoch: v.optional(v.object({ tdEpoch: count, refcount: pair })),
      locks: v.optional(v.object({ septTree: count, opState: count, epoch: count })),
      vcpus: v.array(v.looseObject({ vcpuInfo: v.nullish(v.looseObject({})) })),
      sept: v.optional(v.array(septRow)),
    }),
  ),
  pamt: v.array(pamtRow),
  kot: v.optional(v.object({ lockRaw: count, entries: v.array(kotRow) })),
  wbt: v.optional(v.array(wbtRow)),
});
export type FinalDump = v.InferOutput<typeof finalDump>;

/** The kind of a configuration follows from the field that it has. */
function configSchema(config: unknown): v.GenericSchema<unknown, Config> {
  if (isObject(config) && 'tds' in config) return sequentialConfig;
  if (isObject(config) && 'tdSlots' in config) return lifecycleConfig;
  return v.custom<Config>(() => false, 'neither a sequential nor a life-cycle configuration');
}

const scenario = v.object({
  id: v.string(),
  config: v.lazy(configSchema),
  steps: v.array(v.custom<RecordedStep>(isObject, 'expected an object')),
  final: finalDump,
});
export type RecordedScenario = v.InferOutput<typeof scenario>;

/** Returns the scenario on a line. @throws InputError that names the first invalid field */
export function parseRecordedScenario({ where, value }: ParsedLine): RecordedScenario {
  const parsed = v.safeParse(scenario, value, { abortEarly: true });
  if (!parsed.success) {
    const [issue] = parsed.issues;
    throw new InputError(
      where,
      `${v.getDotPath(issue) ?? 'the line'}: ${issue.message}`,
      adviceFor(value),
    );
  }
  parsed.output.steps.forEach((step, index) => {
    const field = wrongField(step);
    if (field === null) return;
    throw new InputError(
      where,
      `steps.${index}.${field} has the wrong shape`,
      'compare it with the recording format',
    );
  });
  return parsed.output;
}

/** Names the kind of recording: the kinds look similar. */
function adviceFor(value: unknown): string {
  if (isObject(value) && 'threads' in value)
    return 'replay takes sequential recordings, judge takes concurrent histories like this one';
  return 'replay takes sequential and life-cycle recordings, one scenario a line';
}
