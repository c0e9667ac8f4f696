/**
 * Records one call: its inputs, the specification's result, and the state of the TD afterwards,
 * with the fields of the recordings in their order.
 */
import { stateName, stateOf } from '../../../../spec/tdx/entry.ts';
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

/** A call before it is made. `in` can have fields that only explain the registers. */
export interface CallRequest {
  readonly op: string;
  readonly lp: number;
  readonly in: StepInput & Readonly<Record<string, unknown>>;
  readonly repeat?: Omit<Repeat, 'executed'>;
}

type Fields = Readonly<Record<string, unknown>>;

/** Makes the call as step number `i`, and records it. */
export function recordStep(u: Universe, slot: Slot, i: number, request: CallRequest): RecordedStep {
  const { op, lp, in: input } = request;
  const made = { i, op, lp, vcpu: input.vcpu ?? null, in: input };
  const unanswered = { ...made, result: '', status: '0x0', ...repeated(request, 0) };
  const septBefore = septView(u, slot, input);
  const done = perform(u, slot, unanswered);
  followStep(u, slot, unanswered, done);
  const sept = septView(u, slot, input);
  return {
    ...made,
    ...statusOf(done),
    ...repeated(request, done.executed),
    ...outputsOf(u, request, done),
    ...(septBefore === null ? {} : { septBefore }),
    ...(sept === null ? {} : { sept }),
    ...(u.isSequential ? sequentialState(u, slot) : lifecycleState(u, slot, request)),
  };
}

/** The fields of a result without the state of the TD, which is unknown during other calls. */
export const answerFields = (
  u: Universe,
  request: CallRequest,
  done: Performed,
): Fields & { result: string; status: string } => ({
  ...statusOf(done),
  ...outputsOf(u, request, done),
});

const repeated = ({ repeat }: CallRequest, executed: number): { repeat?: Repeat } =>
  repeat === undefined ? {} : { repeat: { ...repeat, executed } };

/** The fields about RAX: a status, or the reason of a TD exit. */
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

/** A function of the guest returns its status in the guest's RAX, unless the vCPU exits. */
const isGuestAnswer = (op: string): boolean => op.startsWith('TDG.');

const TWO: readonly OutputName[] = ['rcx', 'rdx'];
const THREE: readonly OutputName[] = ['rcx', 'rdx', 'r8'];
const FOUR: readonly OutputName[] = ['rcx', 'rdx', 'r8', 'r9'];

/** Functions with more than two output registers. */
const OUTPUTS: ReadonlyMap<string, readonly OutputName[]> = new Map([
  ['TDH.MEM.RD', THREE],
  ['TDH.MEM.WR', THREE],
  ['TDH.PHYMEM.PAGE.RECLAIM', THREE],
  ['TDH.VP.ENTER', THREE],
  ['TDH.PHYMEM.PAGE.RDMD', FOUR],
]);

function outputNames(
  { op, in: { version } }: CallRequest,
  { result }: Performed,
): readonly OutputName[] {
  if (result === 'TD_EXIT') return THREE;
  if (isGuestAnswer(op)) return [];
  return (version ?? 0) > 0 ? FOUR : (OUTPUTS.get(op) ?? TWO);
}

function outputsOf(u: Universe, request: CallRequest, done: Performed): Fields {
  const {
    op,
    in: { regs = {} },
    repeat,
  } = request;
  const stride = repeat === undefined ? 0 : Number(repeat.gpaStride) * (done.executed - 1);
  const names = outputNames(request, done);
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

/** The step's entry, as a host walk sees it; null if there is no such level, or no tree. */
function septView(u: Universe, slot: Slot, { gpa, level = 0 }: StepInput): SeptView | null {
  if (gpa === undefined || level > dumpLevel(u, slot) || !hasTdcs(u, slot)) return null;
  const { entry, at } = hostWalk(u, slot, Number(gpa), level);
  const where = at === level ? { level } : { walkStoppedAt: at };
  return {
    ...where,
    state: stateName(stateOf(entry)),
    raw: hexOf(u.tdx.rawEntry(entry, slot.tdr)),
  };
}

/** The TD has a TDCS. In sequential recordings every TD has one from the beginning. */
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

/** The fields about a TD, which depend on the structures that it has. */
export function tdState(u: Universe, slot: Slot): Fields {
  if (TD_FIELDS.get('tdrExists')?.(u, slot) !== true) {
    return tdFields(u, slot, ['tdrExists', 'lifecycle', 'opState', 'chldcnt']);
  }
  const ofTdcs = hasTdcs(u, slot)
    ? { ...tdFields(u, slot, OF_TDCS), epoch: epochField(u, slot) }
    : {};
  return { ...tdFields(u, slot, OF_TDR), ...ofTdcs };
}

/** Fields of the vCPU at a TDVPR page. */
export const vcpuFields = (
  u: Universe,
  tdvpr: number,
  names: readonly string[],
): Record<string, Scalar> =>
  Object.fromEntries(names.map((name) => [name, VCPU_FIELDS.get(name)?.(u, tdvpr) ?? null]));

export const vcpuInfo = (u: Universe, tdvpr: number): Fields | null =>
  isTdvpr(u, tdvpr) ? vcpuFields(u, tdvpr, [...VCPU_FIELDS.keys()]) : null;

const WRITES_BACK = 'TDH.PHYMEM.CACHE.WB';

function lifecycleState(u: Universe, slot: Slot, { op, in: { vcpu } }: CallRequest): Fields {
  return {
    ...tdState(u, slot),
    ...(vcpu === undefined ? {} : { vcpuInfo: vcpuInfo(u, slot.tdvpr[vcpu] ?? -1) }),
    ...(op === WRITES_BACK ? { wbt: wbtRows(u), kot: kotRows(u) } : {}),
  };
}
