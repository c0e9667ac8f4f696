/** Performs a recorded step on the specification, once or as often as its `repeat` says. */
import { atomically, type Steps } from '../../../../spec/machine/step.ts';
import {
  ALL_ONES,
  Call,
  OPERANDS_ZERO,
  type Injection,
  type Operands,
  type TdParams,
} from '../../../../spec/tdx/call.ts';
import { FUNCTIONS } from '../../../../spec/tdx/functions/index.ts';
import { MODULE_HALT, SUCCESS, toRax } from '../../../../spec/tdx/status.ts';
import { VCPU_ACTIVE, VP } from '../../../../spec/tdx/td.ts';
import { supervised } from '../../../checker/module-guard.ts';
import { movesData, toRegister } from '../format/registers.ts';
import { injectionOf, type RecordedStep } from '../format/step.ts';
import { word, type Slot, type Universe } from '../universe/universe.ts';
import { PSEUDO_OPS } from './pseudo.ts';

/** How a step ended, as recordings name it. */
type Result = 'RETURN' | 'TD_ENTERED' | 'TD_EXIT' | 'HALT';

export interface Performed {
  /** The last call of the step. */
  readonly call: Call;
  /** Number of calls. */
  readonly executed: number;
  readonly result: Result;
  /** RAX: the status of a call, or the reason of a TD exit. */
  readonly rax: bigint;
}

/** No check finds a pending interrupt. */
const NEVER = -1;

export const isKnownOp = (op: string): boolean => FUNCTIONS.has(op) || PSEUDO_OPS.has(op);

/** The step is the guest's: a function of its side of the interface, or a hardware event. */
export const needsVcpu = (op: string): boolean => op.startsWith('TDG.') || op.startsWith('HW.');

/**
 * The step is a guest's, and its vCPU is not in the guest. Where the inputs of one module were
 * recorded on another, that can be. The recorder then made no call, and returned what an earlier
 * one had left in the registers: only the state after the step means something.
 */
export const isStray = (u: Universe, slot: Slot, step: RecordedStep): boolean =>
  needsVcpu(step.op) &&
  step.result === 'RETURN' &&
  word(u, slot.tdvpr[step.in.vcpu ?? -1] ?? slot.tdr, VP.STATE) !== VCPU_ACTIVE;

/** The result of a stray step. */
export const notPerformed = ({ op }: RecordedStep): Performed => ({
  call: new Call(op, OPERANDS_ZERO),
  executed: 0,
  result: 'RETURN',
  rax: 0n,
});

/** Performs `step`, whose operation must be known. */
export function perform(u: Universe, slot: Slot, step: RecordedStep): Performed {
  const { repeat } = step;
  const times = repeat?.count ?? 1;
  const gpaStride = repeat === undefined ? 0 : Number(repeat.gpaStride);
  const hpaStride = repeat === undefined ? 0 : Number(repeat.hpaStride);
  for (let i = 0; ; i++) {
    const call = once(u, slot, step, operandsOf(u, slot, step, i * gpaStride, i * hpaStride));
    if (i + 1 === times || call.status !== SUCCESS || call.exitReason >= 0) {
      return { call, executed: i + 1, result: resultOf(call), rax: raxOf(call) };
    }
  }
}

/** Performs a step without `repeat`, step by step; an action of harness or hardware is one step. */
export function* performStepwise(u: Universe, slot: Slot, step: RecordedStep): Steps<Performed> {
  const call = yield* invoke(u, slot, step, operandsOf(u, slot, step, 0, 0));
  return { call, executed: 1, result: resultOf(call), rax: raxOf(call) };
}

const once = (u: Universe, slot: Slot, step: RecordedStep, operands: Operands): Call =>
  supervised(u.tdx.version, () => atomically(invoke(u, slot, step, operands)), step.op);

function* invoke(u: Universe, slot: Slot, step: RecordedStep, operands: Operands): Steps<Call> {
  const pseudo = PSEUDO_OPS.get(step.op);
  if (pseudo !== undefined) return pseudo(u, slot, step, operands);
  const fn = FUNCTIONS.get(step.op);
  // the caller has checked isKnownOp
  if (fn === undefined) throw new Error(`unknown operation ${step.op}`);
  return yield* u.tdx.invoke(fn, operands);
}

function operandsOf(
  u: Universe,
  slot: Slot,
  step: RecordedStep,
  gpaOffset: number,
  hpaOffset: number,
): Operands {
  const { regs = {}, gpa, vcpu, version, interruptPendingAfter, tdParams } = step.in;
  const inject = injectionOf(step);
  return {
    version: version ?? 0,
    rcx: toRegister(regs.rcx ?? gpa, gpaOffset),
    rdx: toRegister(regs.rdx),
    r8: toRegister(regs.r8, hpaOffset),
    r9: toRegister(regs.r9),
    // the harness passes all ones in the registers that it does not record
    r10: regs.r10 === undefined ? ALL_ONES : toRegister(regs.r10),
    r11: regs.r11 === undefined ? ALL_ONES : toRegister(regs.r11),
    data: movesData(step.op) ? u.tokens.tokenOf(BigInt(regs.r8 ?? 0)) : 0,
    lp: step.lp,
    vcpu: slot.tdvpr[vcpu ?? -1] ?? -1,
    interruptAfter: interruptPendingAfter ?? NEVER,
    inject: inject === undefined ? null : (INJECTIONS.find((known) => known === inject) ?? null),
    tdParams: tdParams === undefined ? null : tdParamsOf(tdParams),
    field: step.op === READS_FIELD ? BigInt(regs.rdx ?? 0) : 0n,
  };
}

/** The function whose RDX is the id of a field. */
const READS_FIELD = 'TDH.MNG.RD';
/** Failures that a recording can inject. */
const INJECTIONS: readonly Injection[] = [
  'rdseedFails',
  'pconfigDeviceBusy',
  'pconfigEntropyError',
  'tscAdjustMsrChanged',
  'bootNt4BitSet',
  'guestStateFaults',
];

export const isKnownInjection = (inject: string): boolean =>
  INJECTIONS.some((known) => known === inject);

function tdParamsOf(recorded: Readonly<Record<string, string | number>>): TdParams {
  const bits = (name: string): bigint => BigInt(recorded[name] ?? 0);
  const number = (name: string): number => Number(recorded[name] ?? 0);
  return {
    attributes: bits('attributes'),
    xfam: bits('xfam'),
    maxVcpus: number('maxVcpus'),
    numL2Vms: number('numL2Vms'),
    msrConfigCtls: number('msrConfigCtls'),
    eptpControls: bits('eptpControls'),
    configFlags: bits('configFlags' in recorded ? 'configFlags' : 'execControls'),
    tscFrequency: number('tscFrequency'),
    archCapConfig: bits('archCapConfig'),
    reservedNonZero: number('reservedNonZero'),
    cpuidConfig: number('cpuidConfig'),
  };
}

function resultOf(call: Call): Result {
  if (call.status === MODULE_HALT) return 'HALT';
  if (call.name === 'TDH.VP.ENTER')
    return call.status === SUCCESS && call.exitReason < 0 ? 'TD_ENTERED' : 'RETURN';
  return call.exitReason >= 0 ? 'TD_EXIT' : 'RETURN';
}

function raxOf({ exitReason, status, wideOperand }: Call): bigint {
  if (exitReason >= 0) return toRax(status) | BigInt(exitReason);
  return toRax(status) | BigInt(Math.max(0, wideOperand));
}
