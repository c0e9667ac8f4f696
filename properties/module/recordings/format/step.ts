/**
 * The steps of a recording. Their shape is checked by hand, not by a schema, because tens of
 * thousands are read in a second. Nearly every field is optional; replay compares those that are
 * there.
 */
export type Registers = Readonly<
  Partial<Record<'rcx' | 'rdx' | 'r8' | 'r9' | 'r10' | 'r11', string>>
>;

/** The inputs of a step. `regs` are authoritative; the other fields explain them. */
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

/** An S-EPT entry as a host walk sees it: at the wanted level, or where the walk stopped above. */
export interface SeptView {
  readonly level?: number;
  readonly walkStoppedAt?: number;
  readonly state: string;
  readonly raw: string;
}

/** Repeats a call, with RCX and R8 advanced by a stride, until one does not succeed. */
export interface Repeat {
  readonly count: number;
  readonly gpaStride: string;
  readonly hpaStride: string;
  readonly executed: number;
}

/**
 * The failure that the recorder injected into a step, by name: `in.inject`, or the one field of the
 * step's own `inject`.
 */
export function injectionOf(step: RecordedStep): string | undefined {
  const { inject } = step;
  return step.in.inject ?? (isObject(inject) ? Object.keys(inject)[0] : undefined);
}

/** A recorded call and its result. The fields about the TD afterwards vary by kind of recording. */
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

export const isObject = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

/** Longest repetition: no table of a recording has more pages. */
const MAX_CALLS = 1 << 22;

type Check = (value: unknown) => boolean;
const isText: Check = (value) => typeof value === 'string';
const isHex: Check = (value) => typeof value === 'string' && /^0x[0-9a-f]{1,16}$/.test(value);
const isCount: Check = (value) =>
  typeof value === 'number' && Number.isInteger(value) && value >= 0;
const isCalls: Check = (value) =>
  isCount(value) && Number(value) >= 1 && Number(value) <= MAX_CALLS;
const isStride: Check = (value) => typeof value === 'string' && /^0x[0-9a-f]{1,9}$/.test(value);
const isView: Check = (value) => isObject(value) && isText(value['state']) && isHex(value['raw']);
const isEpoch: Check = (value) =>
  isObject(value) && isCount(value['tdEpoch']) && Array.isArray(value['refcount']);
const every =
  (check: Check): Check =>
  (value) => {
    if (!isObject(value)) return false;
    for (const key in value) if (!check(value[key])) return false; // no arrays: steps are many
    return true;
  };
const isParam: Check = (value) => isHex(value) || isCount(value);
const orAbsent =
  (check: Check): Check =>
  (value) =>
    value === undefined || check(value);
const orNull =
  (check: Check): Check =>
  (value) =>
    value === undefined || value === null || check(value);

type Checks = readonly (readonly [field: string, check: Check])[];

const STEP: Checks = [
  ['i', isCount],
  ['op', isText],
  ['lp', isCount],
  ['in', isObject],
  ['result', isText],
  ['status', isHex],
  ['out', orAbsent(every(isHex))],
  ['outR8', orAbsent(isHex)],
  ['guestRax', orAbsent(isHex)],
  ['septBefore', orAbsent(isView)],
  ['sept', orAbsent(isView)],
  ['repeat', orAbsent(isObject)],
  ['epoch', orAbsent(isEpoch)],
  ['kot', orAbsent(Array.isArray)],
  ['wbt', orAbsent(Array.isArray)],
  ['vcpuInfo', orNull(isObject)],
  ['inject', orAbsent(isObject)],
];
const INPUT: Checks = [
  ['td', isCount],
  ['vcpu', orAbsent(isCount)],
  ['regs', orAbsent(every(isHex))],
  ['gpa', orAbsent(isHex)],
  ['level', orAbsent(isCount)],
  ['version', orAbsent(isCount)],
  ['data', orAbsent(isHex)],
  ['interruptPendingAfter', orAbsent(isCount)],
  ['inject', orAbsent(isText)],
  ['tdParams', orAbsent(every(isParam))],
];
const REPEAT: Checks = [
  ['count', isCalls],
  ['executed', isCount],
  ['gpaStride', isStride],
  ['hpaStride', isStride],
];

/** Returns the first field of a step that has the wrong shape, or null. */
export function wrongField(step: RecordedStep): string | null {
  return (
    wrong(step, STEP, '') ??
    wrong(step.in, INPUT, 'in.') ??
    (step.repeat === undefined ? null : wrong(step.repeat, REPEAT, 'repeat.'))
  );
}

function wrong(object: object, checks: Checks, prefix: string): string | null {
  for (const [field, check] of checks) {
    // any object can be read
    if (!check((object as Readonly<Record<string, unknown>>)[field])) return prefix + field;
  }
  return null;
}
