/**
 * The format of recorded scenarios: one JSON object a line, `sequential` or `lifecycle`, which differ in `config` and
 * in what is said about the TD after each step. Everything below `config` and `final` is optional in the way that the
 * recordings leave it out; what a step does say is compared.
 */
import * as v from 'valibot';
import { InputError } from './input.ts';
import type { ParsedLine } from './lines.ts';

const hex = v.pipe(v.string(), v.regex(/^0x[0-9a-f]{1,16}$/, 'expected hexadecimal digits after 0x'));
const count = v.pipe(v.number(), v.integer(), v.minValue(0));
const range = v.strictTuple([count, count]);
const epoch = v.object({ tdEpoch: count, refcount: range });

const platform = {
  tdmr: v.object({ base: hex, size: hex }),
  hkidBits: range,
  reservedPage: hex,
};

/** TDs made by direct initialisation, as the life-cycle functions would leave them. */
const sequentialConfig = v.object({
  ...platform,
  septLevels: v.picklist([4, 5]),
  gpaw: v.picklist([0, 1]),
  debug: v.picklist([0, 1]),
  septVeDisable: v.picklist([0, 1]),
  tds: v.array(v.object({
    td: count, tdr: hex, tdcx: v.strictTuple([hex, count]), septRoot: hex, hkid: count, tdvpr: v.array(hex),
  })),
});

/** An empty platform. */
const lifecycleConfig = v.object({
  ...platform,
  packages: v.pipe(count, v.minValue(1), v.maxValue(8)),
  privateHkids: range,
  cachedSubBlocks: v.pipe(count, v.minValue(1)),
  tdSlots: v.array(v.object({ td: count, tdr: hex, tdcx: hex, tdvpr: v.array(hex) })),
});

export type SequentialConfig = v.InferOutput<typeof sequentialConfig>;
export type LifecycleConfig = v.InferOutput<typeof lifecycleConfig>;
export type Config = SequentialConfig | LifecycleConfig;
export const isSequential = (config: Config): config is SequentialConfig => 'tds' in config;

const septRow = v.object({ gpa: hex, level: count, raw: hex, state: v.string(), hpa: hex, count: v.optional(count, 1) });
const pamtRow = v.object({
  hpa: hex, size: v.picklist(['4K', '2M', '1G']), type: v.string(), owner: hex, bepoch: count,
  lockRaw: v.optional(count, 0), count: v.optional(count, 1),
});
export type SeptRow = v.InferOutput<typeof septRow>;
export type PamtRow = v.InferOutput<typeof pamtRow>;

const kotRow = v.object({ hkid: count, state: v.string(), wbinvdBitmap: count });
const wbtRow = v.object({ pkg: count, intrPoint: count, hkids: v.array(count) });
export type KotRow = v.InferOutput<typeof kotRow>;
export type WbtRow = v.InferOutput<typeof wbtRow>;

const finalDump = v.object({
  tds: v.array(v.looseObject({
    td: count,
    epoch: v.optional(epoch),
    locks: v.optional(v.object({ septTree: count, opState: count, epoch: count })),
    vcpus: v.array(v.looseObject({ vcpuInfo: v.nullish(v.looseObject({})) })),
    sept: v.optional(v.array(septRow)),
  })),
  pamt: v.array(pamtRow),
  kot: v.optional(v.object({ lockRaw: count, entries: v.array(kotRow) })),
  wbt: v.optional(v.array(wbtRow)),
});
export type FinalDump = v.InferOutput<typeof finalDump>;

const scenario = v.object({
  id: v.string(),
  config: v.union([sequentialConfig, lifecycleConfig], 'neither a sequential nor a life-cycle configuration'),
  halted: v.optional(v.boolean(), false),
  steps: v.array(v.custom<RecordedStep>((step) => isObject(step), 'expected an object')),
  final: finalDump,
});
export type Scenario = v.InferOutput<typeof scenario>;

export type Registers = Readonly<Partial<Record<'rcx' | 'rdx' | 'r8' | 'r9' | 'r10' | 'r11', string>>>;

/** What went into a step. `regs` are authoritative; the rest says what they mean. */
export interface StepInput {
  readonly td: number;
  readonly vcpu?: number;
  readonly regs?: Registers;
  readonly gpa?: string;
  readonly level?: number;
  readonly version?: number;
  readonly data?: string;
  readonly interruptPendingAfter?: number;
  readonly inject?: string;
  readonly tdParams?: Readonly<Record<string, string | number>>;
}

/** An S-EPT entry as a host walk sees it: at the level asked for, or where the walk stopped above it. */
export interface SeptView {
  readonly level?: number;
  readonly walkStoppedAt?: number;
  readonly state: string;
  readonly raw: string;
}

export interface Repeat {
  readonly count: number;
  readonly gpaStride: string;
  readonly hpaStride: string;
  readonly executed: number;
}

export type Scalar = string | number | boolean | null;

/** A recorded call and what came of it. The fields that describe the TD afterwards vary by kind of recording. */
export interface RecordedStep {
  readonly i: number;
  readonly op: string;
  readonly lp: number;
  readonly in: StepInput;
  readonly result: string;
  readonly status: string;
  readonly repeat?: Repeat;
  readonly [field: string]: unknown;
}

const isObject = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

const isHex = (value: unknown): boolean => typeof value === 'string' && /^0x[0-9a-f]{1,16}$/.test(value);
const isCount = (value: unknown): boolean => typeof value === 'number' && Number.isInteger(value) && value >= 0;
const isText = (value: unknown): boolean => typeof value === 'string';
const orAbsent = (check: Check): Check => (value) => value === undefined || check(value);
const orNull = (check: Check): Check => (value) => value === undefined || value === null || check(value);
const isView: Check = (value) => isObject(value) && isText(value['state']) && isHex(value['raw']);
const everyValue = (check: Check): Check => (value) => isObject(value) && Object.values(value).every(check);

type Check = (value: unknown) => boolean;
type Checks = readonly (readonly [field: string, check: Check])[];

/** Steps are checked by hand: there are tens of thousands a second of them. */
const STEP: Checks = [
  ['i', isCount], ['op', isText], ['lp', isCount], ['in', isObject], ['result', isText], ['status', isHex],
  ['out', orAbsent(everyValue(isHex))], ['outR8', orAbsent(isHex)], ['guestRax', orAbsent(isHex)],
  ['septBefore', orAbsent(isView)], ['sept', orAbsent(isView)], ['repeat', orAbsent(isObject)],
  ['epoch', orAbsent((value) => isObject(value) && isCount(value['tdEpoch']) && Array.isArray(value['refcount']))],
  ['kot', orAbsent(Array.isArray)], ['wbt', orAbsent(Array.isArray)], ['vcpuInfo', orNull(isObject)],
];
const INPUT: Checks = [
  ['td', isCount], ['vcpu', orNull(isCount)], ['regs', orAbsent(everyValue(isHex))], ['gpa', orAbsent(isHex)],
  ['level', orAbsent(isCount)], ['version', orAbsent(isCount)], ['data', orAbsent(isHex)],
  ['interruptPendingAfter', orAbsent(isCount)], ['inject', orAbsent(isText)], ['tdParams', orAbsent(isObject)],
];
const REPEAT: Checks = [
  ['count', isCount], ['executed', isCount], ['gpaStride', isHex], ['hpaStride', isHex],
];

/** The scenario on a line, or an InputError that says where it is not one. */
export function parseScenario({ where, value }: ParsedLine): Scenario {
  const parsed = v.safeParse(scenario, value, { abortEarly: true });
  if (!parsed.success) {
    const [issue] = parsed.issues;
    const path = v.getDotPath(issue);
    throw new InputError(where, `${path === null ? 'the line' : path}: ${issue.message}`, adviceFor(value));
  }
  parsed.output.steps.forEach((step, index) => {
    const fault = wrongField(step, STEP, '') ?? wrongField(step.in, INPUT, 'in.')
      ?? (step.repeat === undefined ? null : wrongField(step.repeat, REPEAT, 'repeat.'));
    if (fault !== null) {
      throw new InputError(where, `steps.${index}.${fault} has the wrong shape`, 'compare it with the recording format');
    }
  });
  return parsed.output;
}

function wrongField(object: object, checks: Checks, prefix: string): string | null {
  for (const [field, check] of checks) {
    if (!check((object as Readonly<Record<string, unknown>>)[field])) return prefix + field; // any object may be asked
  }
  return null;
}

/** The other recordings look similar; say which one this is. */
function adviceFor(value: unknown): string {
  if (isObject(value) && 'threads' in value) return 'this is a concurrent history, replay takes sequential recordings';
  return 'replay takes sequential and life-cycle recordings, one scenario a line';
}
