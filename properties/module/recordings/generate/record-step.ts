/**
 * Writes down one call: what was asked, what the specification answers, and what the TD looks like
 * afterwards, with the fields of the recordings in their order.
 */
import { stateName, stateOf, toRaw } from '../../../../spec/tdx/entry.ts';
import { operandName, operandOf, statusName, SUCCESS } from '../../../../spec/tdx/status.ts';
import { outputOf, type OutputName } from '../format/registers.ts';
import type { Scalar } from '../format/scenario.ts';
import type { RecordedStep, Repeat, SeptView, StepInput } from '../format/step.ts';
import { hexOf, paddedHex } from '../format/values.ts';
import { dumpLevel, followStep } from '../replay/harness.ts';
import {
  epochOf,
  hostWalk,
  isTdvpr,
  kotRows,
  TD_FIELDS,
  VCPU_FIELDS,
  wbtRows,
} from '../replay/observe.ts';
import { perform, type Performed } from '../replay/perform.ts';
import type { Slot, Universe } from '../universe/universe.ts';

/**
 * A call before it is made. Beyond what the judge reads, `in` may say in words what the registers
 * mean.
 */
export interface Asked {
  readonly op: string;
  readonly lp: number;
  readonly in: StepInput & Readonly<Record<string, unknown>>;
  readonly repeat?: Omit<Repeat, 'executed'>;
}

type Fields = Readonly<Record<string, unknown>>;

/** Makes the call that is asked for, as step number `i`. */
export function recordStep(u: Universe, slot: Slot, i: number, asked: Asked): RecordedStep {
  const { op, lp, in: input } = asked;
  const made = { i, op, lp, vcpu: input.vcpu ?? null, in: input };
  const unanswered = { ...made, result: '', status: '0x0', ...repeated(asked, 0) };
  const septBefore = septView(u, slot, input);
  const done = perform(u, slot, unanswered);
  followStep(u, slot, unanswered, done);
  const sept = septView(u, slot, input);
  return {
    ...made,
    ...statusOf(done),
    ...repeated(asked, done.executed),
    ...outputsOf(u, asked, done),
    ...(septBefore === null ? {} : { septBefore }),
    ...(sept === null ? {} : { sept }),
    ...(u.isSequential ? sequentialState(u, slot) : lifecycleState(u, slot, asked)),
  };
}

/**
 * What an answer is written down as, without the state of the TD: nobody knows that while others
 * are at work.
 */
export const answerFields = (
  u: Universe,
  asked: Asked,
  done: Performed,
): Fields & { result: string; status: string } => ({
  ...statusOf(done),
  ...outputsOf(u, asked, done),
});

const repeated = ({ repeat }: Asked, executed: number): { repeat?: Repeat } =>
  repeat === undefined ? {} : { repeat: { ...repeat, executed } };

/** A TD exit puts its reason where statuses are. */
function statusOf({ call, result, rax }: Performed): Fields & { result: string; status: string } {
  const left = call.exitReason >= 0;
  const operandId = left ? 0 : operandOf(call.status);
  return {
    result,
    status: paddedHex(rax),
    statusName: statusName(left ? SUCCESS : call.status),
    operandId: operandId || null,
    ...(operandId === 0 ? {} : { operandName: operandName(call.status) }),
    ...(left ? { vmExitReason: call.exitReason } : {}),
    ...(call.interrupted ? { interrupted: true } : {}),
    ...(call.injectedVe ? { guestVE: true } : {}),
    ...(isGuestAnswer(call.name) && !left && !call.interrupted ? { guestRax: paddedHex(rax) } : {}),
  };
}

/** Functions of the guest answer in its RAX alone, unless the TD is left. */
const isGuestAnswer = (op: string): boolean => op.startsWith('TDG.');

const TWO: readonly OutputName[] = ['rcx', 'rdx'];
const THREE: readonly OutputName[] = ['rcx', 'rdx', 'r8'];
const FOUR: readonly OutputName[] = ['rcx', 'rdx', 'r8', 'r9'];

/** Functions that answer in more registers than two. */
const OUTPUTS: ReadonlyMap<string, readonly OutputName[]> = new Map([
  ['TDH.MEM.RD', THREE],
  ['TDH.MEM.WR', THREE],
  ['TDH.PHYMEM.PAGE.RECLAIM', THREE],
  ['TDH.VP.ENTER', THREE],
  ['TDH.PHYMEM.PAGE.RDMD', FOUR],
]);

function outputNames({ op, in: { version } }: Asked, { result }: Performed): readonly OutputName[] {
  if (result === 'TD_EXIT') return THREE;
  if (isGuestAnswer(op)) return [];
  return (version ?? 0) > 0 ? FOUR : (OUTPUTS.get(op) ?? TWO);
}

function outputsOf(u: Universe, asked: Asked, done: Performed): Fields {
  const {
    op,
    in: { regs = {} },
    repeat,
  } = asked;
  const stride = repeat === undefined ? 0 : Number(repeat.gpaStride) * (done.executed - 1);
  const names = outputNames(asked, done);
  const out = Object.fromEntries(
    names.flatMap((name): [string, string][] => {
      const value = outputOf(u.tdx, u.tokens, done.call, name, regs, stride);
      return value === null ? [] : [[name, hexOf(value)]];
    }),
  );
  const r8 = outputOf(u.tdx, u.tokens, done.call, 'r8', {}, 0) ?? 0n;
  return {
    ...(names.length === 0 ? {} : { out }),
    ...(op === 'TDH.MNG.RD' ? { outR8: hexOf(r8) } : {}),
  };
}

/**
 * The entry that the step is about, as a host walk sees it; null when there is no such level, or no
 * tree.
 */
function septView(u: Universe, slot: Slot, { gpa, level = 0 }: StepInput): SeptView | null {
  if (gpa === undefined || level > dumpLevel(u, slot) || !hasTdcs(u, slot)) return null;
  const { entry, at } = hostWalk(u, slot, Number(gpa), level);
  const where = at === level ? { level } : { walkStoppedAt: at };
  return { ...where, state: stateName(stateOf(entry)), raw: hexOf(toRaw(entry, u.tdx.base)) };
}

/** Are there control structures to look at? Sequential recordings have them from the beginning. */
export function hasTdcs(u: Universe, slot: Slot): boolean {
  const opState = TD_FIELDS.get('opState')?.(u, slot);
  return u.isSequential || (opState !== null && opState !== 'UNINITIALIZED');
}

export function epochField(u: Universe, slot: Slot): Fields {
  const [tdEpoch, even, odd] = epochOf(u, slot);
  return { tdEpoch, refcount: [even, odd] };
}

const tdFields = (u: Universe, slot: Slot, names: readonly string[]): Record<string, Scalar> =>
  Object.fromEntries(names.map((name) => [name, TD_FIELDS.get(name)?.(u, slot) ?? null]));

const sequentialState = (u: Universe, slot: Slot): Fields => ({
  epoch: epochField(u, slot),
  ...tdFields(u, slot, ['opState', 'chldcnt']),
});

const OF_TDR = [
  'tdrExists',
  'lifecycle',
  'fatal',
  'hkid',
  'kotState',
  'wbinvdBitmap',
  'pkgConfigBitmap',
  'numTdcx',
  'chldcnt',
  'opState',
];
const OF_TDCS = ['numVcpus', 'numAssocVcpus', 'maxVcpus', 'numL2Vms'];

/** What is said about a TD depends on how much of it there is. */
export function tdState(u: Universe, slot: Slot): Fields {
  if (TD_FIELDS.get('tdrExists')?.(u, slot) !== true) {
    return tdFields(u, slot, ['tdrExists', 'lifecycle', 'opState', 'chldcnt']);
  }
  const ofTdcs = hasTdcs(u, slot)
    ? { ...tdFields(u, slot, OF_TDCS), epoch: epochField(u, slot) }
    : {};
  return { ...tdFields(u, slot, OF_TDR), ...ofTdcs };
}

/** The vCPU at a TDVPR page, or null when that is none. */
export const vcpuFields = (
  u: Universe,
  tdvpr: number,
  names: readonly string[],
): Record<string, Scalar> =>
  Object.fromEntries(names.map((name) => [name, VCPU_FIELDS.get(name)?.(u, tdvpr) ?? null]));

export const vcpuInfo = (u: Universe, tdvpr: number): Fields | null =>
  isTdvpr(u, tdvpr) ? vcpuFields(u, tdvpr, [...VCPU_FIELDS.keys()]) : null;

const WRITES_BACK = 'TDH.PHYMEM.CACHE.WB';

function lifecycleState(u: Universe, slot: Slot, { op, in: { vcpu } }: Asked): Fields {
  return {
    ...tdState(u, slot),
    ...(vcpu === undefined ? {} : { vcpuInfo: vcpuInfo(u, slot.tdvpr[vcpu] ?? -1) }),
    ...(op === WRITES_BACK ? { wbt: wbtRows(u), kot: kotRows(u) } : {}),
  };
}
