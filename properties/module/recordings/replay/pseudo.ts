/**
 * Steps of a recording that are no interface functions: actions of the harness, which the module
 * does not see, and of the hardware. (`HW.GUEST.ACCESS` is specified with the guest's functions, in
 * spec/tdx/guest.)
 */
import { atomically } from '../../../../spec/machine/step.ts';
import { Call, type Operands } from '../../../../spec/tdx/call.ts';
import { isFatalExit, tdExit } from '../../../../spec/tdx/guest/td-exit.ts';
import { EXIT_EXTERNAL_INTERRUPT } from '../../../../spec/tdx/guest/violation.ts';
import { NON_RECOVERABLE_TD_FATAL } from '../../../../spec/tdx/status.ts';
import { TD } from '../../../../spec/tdx/td.ts';
import type { RecordedStep } from '../format/step.ts';
import { word, type Slot, type Universe } from '../universe/universe.ts';

/** Performs a step that is no interface function. The status of the resulting call is SUCCESS. */
type PseudoOp = (u: Universe, slot: Slot, step: RecordedStep, operands: Operands) => Call;

const SET_LIFECYCLE = 'HARNESS.SET_LIFECYCLE';

type Setting = (u: Universe, tdr: number) => void;

const poke = (u: Universe, tdr: number, field: number, value: number): void =>
  u.tdx.m.poke(u.tdx.memory.word(tdr, field), value);
const set =
  (field: number, value: number): Setting =>
  (u, tdr) =>
    poke(u, tdr, field, value);

/** `data` of HARNESS.SET_LIFECYCLE: a life-cycle state, or a field that is set for some steps. */
const SETTINGS: ReadonlyMap<number, Setting> = new Map<number, Setting>([
  [0, set(TD.LIFECYCLE, 0)],
  [1, set(TD.LIFECYCLE, 1)],
  [2, set(TD.LIFECYCLE, 2)],
  [3, set(TD.LIFECYCLE, 3)],
  [0x100, set(TD.FATAL, 1)],
  [0x101, set(TD.FATAL, 0)],
  [
    0x200,
    (u, tdr) => {
      u.vcpuCounts.set(tdr, word(u, tdr, TD.NUM_VCPUS));
      poke(u, tdr, TD.NUM_VCPUS, 0);
    },
  ],
  [
    0x201,
    (u, tdr) => poke(u, tdr, TD.NUM_VCPUS, u.vcpuCounts.get(tdr) ?? word(u, tdr, TD.NUM_VCPUS)),
  ],
]);

const settingOf = (step: RecordedStep): Setting | undefined =>
  SETTINGS.get(Number(step.in.data ?? NaN));

/** The step is no HARNESS.SET_LIFECYCLE, or its setting is known. */
export const isKnownSetting = (step: RecordedStep): boolean =>
  step.op !== SET_LIFECYCLE || settingOf(step) !== undefined;

const setLifecycle: PseudoOp = (u, slot, step, operands) => {
  settingOf(step)?.(u, slot.tdr);
  return new Call(step.op, operands);
};

/** The vCPU leaves the TD for an external interrupt. */
const hardwareExit: PseudoOp = (u, slot, step, operands) => {
  const call = new Call(step.op, operands);
  atomically(tdExit(u.tdx, operands.vcpu));
  call.exitReason = EXIT_EXTERNAL_INTERRUPT;
  if (isFatalExit(u.tdx, slot.tdr)) call.status = NON_RECOVERABLE_TD_FATAL;
  return call;
};

export const PSEUDO_OPS: ReadonlyMap<string, PseudoOp> = new Map([
  [SET_LIFECYCLE, setLifecycle],
  ['HW.TD.EXIT', hardwareExit],
]);
