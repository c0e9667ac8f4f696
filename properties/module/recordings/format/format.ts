/**
 * The format of recorded scenarios: one JSON object a line, `sequential` or `lifecycle`, which
 * differ in `config` and in what is said about the TD after each step.
 */
import * as v from 'valibot';
import { InputError } from '../../../files/input.ts';
import type { ParsedLine } from '../../../files/lines.ts';
import { count, hex, lifecycleConfig, pair, sequentialConfig, type Config } from './config.ts';
import { isObject, wrongField, type RecordedStep } from './step.ts';

export type { Config, LifecycleConfig, SequentialConfig } from './config.ts';

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

/** A configuration says by what it lists of which kind it is. */
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
export type Scenario = v.InferOutput<typeof scenario>;

/** The scenario on a line, or an InputError that says where it is not one. */
export function parseScenario({ where, value }: ParsedLine): Scenario {
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

/** The other recordings look similar; say which one this is. */
function adviceFor(value: unknown): string {
  if (isObject(value) && 'threads' in value)
    return 'this is a concurrent history, replay takes sequential recordings';
  return 'replay takes sequential and life-cycle recordings, one scenario a line';
}
