/** Compares the fields that a recording has of a step with the specification's run of the step. */
import { stateName, stateOf, type Entry } from '../../../../spec/tdx/entry.ts';
import {
  MODULE_HALT,
  NON_RECOVERABLE_TD_FATAL,
  statusName,
  SUCCESS,
} from '../../../../spec/tdx/status.ts';
import { outputOf, type OutputName } from '../format/registers.ts';
import type { KotRow, Scalar, WbtRow } from '../format/scenario.ts';
import type { RecordedStep, SeptView } from '../format/step.ts';
import { hexOf } from '../format/values.ts';
import type { Slot, Universe } from '../universe/universe.ts';
import { epochOf, hostWalk, isTdvpr, kotRows, TD_FIELDS, VCPU_FIELDS, wbtRows } from './observe.ts';
import { operandIdOf, operandNameOf } from './operand.ts';
import type { Performed } from './perform.ts';

/** Reports a field that differs. `ours` is the specification's value. */
export type ReportDifference = (field: string, recorded: string, ours: string) => void;

/** A recorded step, and its run on the specification. */
interface Compared {
  readonly u: Universe;
  readonly slot: Slot;
  readonly step: RecordedStep;
  readonly done: Performed;
  readonly report: ReportDifference;
}

const show = (value: unknown): string =>
  typeof value === 'string' ? value : (JSON.stringify(value) ?? 'absent');

export function compareScalar(
  report: ReportDifference,
  field: string,
  recorded: unknown,
  ours: Scalar,
): void {
  if (recorded !== ours) report(field, show(recorded), show(ours));
}

function compareBits(
  report: ReportDifference,
  field: string,
  recorded: string,
  ours: bigint,
): void {
  if (!isHexOf(recorded, ours)) report(field, recorded, hexOf(ours));
}

/** Number of characters of the longest hexadecimal text that a number holds exactly. */
const EXACT = 15;

/** Whether `text` has that value. Most are short, and cheaper to compare as numbers. */
const isHexOf = (text: string, value: bigint): boolean =>
  text.length <= EXACT ? Number(text) === Number(value) : BigInt(text) === value;

/** Compares the entry at the step's GPA and level: `septBefore` before it, `sept` after it. */
export function compareSept(
  u: Universe,
  slot: Slot,
  step: RecordedStep,
  field: 'septBefore' | 'sept',
  report: ReportDifference,
): void {
  const view = step[field] as SeptView | undefined; // shape checked by parseRecordedScenario
  if (view === undefined || step.in.gpa === undefined) return;
  // for functions without a level operand, only the view shows at which level the recorder looked
  const wanted = step.in.level ?? view.level ?? 0;
  const { entry, at } = hostWalk(u, slot, Number(step.in.gpa), wanted);
  const reached = at === wanted;
  compareScalar(report, `${field}.level`, view.level ?? null, reached ? at : null);
  compareScalar(report, `${field}.walkStoppedAt`, view.walkStoppedAt ?? null, reached ? null : at);
  compareEntry(u, slot, report, field, view, entry);
}

/** Compares state and raw value of an entry. */
function compareEntry(
  u: Universe,
  slot: Slot,
  report: ReportDifference,
  field: string,
  recorded: { readonly state: string; readonly raw: string },
  ours: Entry,
): void {
  compareScalar(report, `${field}.state`, recorded.state, stateName(stateOf(ours)));
  compareBits(report, `${field}.raw`, recorded.raw, u.tdx.rawEntry(ours, slot.tdr));
}

export function compareEpoch(
  u: Universe,
  slot: Slot,
  report: ReportDifference,
  recorded: unknown,
): void {
  // checked on reading
  const { tdEpoch, refcount } = recorded as { tdEpoch: number; refcount: readonly number[] };
  const [epoch, even, odd] = epochOf(u, slot);
  compareScalar(report, 'epoch.tdEpoch', tdEpoch, epoch);
  compareScalar(report, 'epoch.refcount[0]', refcount[0], even);
  compareScalar(report, 'epoch.refcount[1]', refcount[1], odd);
}

/** Compares a vCPU; `recorded` is null if the page is no TDVPR. */
export function compareVcpu(
  u: Universe,
  tdvpr: number,
  report: ReportDifference,
  field: string,
  recorded: unknown,
): void {
  const exists = isTdvpr(u, tdvpr);
  if (recorded === null || !exists) {
    compareScalar(
      report,
      field,
      recorded === null ? 'absent' : 'present',
      exists ? 'present' : 'absent',
    );
    return;
  }
  // shape checked on reading
  for (const [name, value] of Object.entries(recorded as object)) {
    const read = VCPU_FIELDS.get(name);
    if (read !== undefined) compareScalar(report, `${field}.${name}`, value, read(u, tdvpr));
  }
}

export function compareRows(
  report: ReportDifference,
  field: string,
  recorded: readonly (KotRow | WbtRow)[],
  ours: readonly unknown[],
): void {
  recorded.forEach((row, index) => {
    if (JSON.stringify(row) !== JSON.stringify(ours[index]))
      report(`${field}[${index}]`, show(row), show(ours[index]));
  });
  if (recorded.length !== ours.length)
    report(`${field}.length`, `${recorded.length}`, `${ours.length}`);
}

type Comparer = (compared: Compared, recorded: unknown) => void;

const scalar = (
  field: string,
  ours: (compared: Compared) => Scalar,
): readonly [string, Comparer] => [
  field,
  (compared, recorded) => compareScalar(compared.report, field, recorded, ours(compared)),
];

const exitReasonOf = ({ done }: Compared): number | null =>
  done.call.exitReason < 0 ? null : done.call.exitReason;

/** RAX is a status of the ABI, not the reason of a TD exit. */
const isAbiStatus = ({ done }: Compared): boolean => done.call.exitReason < 0;

const COMPARERS: ReadonlyMap<string, Comparer> = new Map<string, Comparer>([
  scalar('result', ({ done }) => done.result),
  [
    'status',
    ({ report, done }, recorded) => {
      if (done.call.status !== MODULE_HALT)
        compareBits(report, 'status', recorded as string, done.rax); // shape checked on reading
    },
  ],
  scalar('statusName', (compared) =>
    statusName(
      isAbiStatus(compared) || compared.done.call.status === NON_RECOVERABLE_TD_FATAL
        ? compared.done.call.status
        : SUCCESS,
    ),
  ),
  scalar('operandId', ({ step, done }) => operandIdOf(step, done.call)),
  scalar('operandName', ({ step, done }) => operandNameOf(step, done.call)),
  scalar('vmExitReason', exitReasonOf),
  scalar('interrupted', ({ done }) => done.call.interrupted),
  scalar('guestVE', ({ done }) => done.call.injectedVe),
  [
    'guestRax',
    ({ report, done }, recorded) => {
      compareBits(report, 'guestRax', recorded as string, done.rax); // shape checked on reading
    },
  ],
  [
    'repeat',
    ({ report, step, done }) => {
      compareScalar(report, 'repeat.executed', step.repeat?.executed ?? 1, done.executed);
    },
  ],
  [
    'out',
    ({ u, step, done, report }, recorded) => {
      const stride =
        step.repeat === undefined ? 0 : Number(step.repeat.gpaStride) * (done.executed - 1);
      // shape checked on reading
      for (const [name, bits] of Object.entries(recorded as Record<string, string>)) {
        const ours = outputOf(
          u.tdx,
          u.tokens,
          done.call,
          name as OutputName,
          step.in.regs ?? {},
          stride,
        );
        if (ours !== null) compareBits(report, `out.${name}`, bits, ours);
      }
    },
  ],
  [
    'outR8',
    ({ u, done, report }, recorded) => {
      const ours = outputOf(u.tdx, u.tokens, done.call, 'r8', {}, 0) ?? 0n;
      compareBits(report, 'outR8', recorded as string, ours); // shape checked on reading
    },
  ],
  ['sept', ({ u, slot, step, report }) => compareSept(u, slot, step, 'sept', report)],
  ['epoch', ({ u, slot, report }, recorded) => compareEpoch(u, slot, report, recorded)],
  [
    'vcpuInfo',
    ({ u, slot, step, report }, recorded) => {
      compareVcpu(u, slot.tdvpr[step.in.vcpu ?? 0] ?? -1, report, 'vcpuInfo', recorded);
    },
  ],
  [
    'kot',
    ({ u, report }, recorded) => compareRows(report, 'kot', recorded as KotRow[], kotRows(u)),
  ], // shape checked on reading
  [
    'wbt',
    ({ u, report }, recorded) => compareRows(report, 'wbt', recorded as WbtRow[], wbtRows(u)),
  ], // shape checked on reading
  ...[...TD_FIELDS].map(([field, read]) => scalar(field, ({ u, slot }) => read(u, slot))),
]);

/** Fields that are recorded only if something happened: their absence means that it did not. */
const ABSENT_MEANS: readonly (readonly [
  field: string,
  value: Scalar,
  ours: (compared: Compared) => Scalar,
])[] = [
  ['vmExitReason', null, exitReasonOf],
  ['interrupted', false, ({ done }) => done.call.interrupted],
  ['guestVE', false, ({ done }) => done.call.injectedVe],
];

/** Fields about the result of a step; the others are about the state after it. */
const RESULT: ReadonlySet<string> = new Set([
  'result',
  'status',
  'statusName',
  'operandId',
  'operandName',
  'vmExitReason',
  'interrupted',
  'guestVE',
  'guestRax',
  'repeat',
  'out',
  'outR8',
]);

/** Reports every field about the state after the step that differs. */
export function compareState(compared: Compared): void {
  for (const field in compared.step) {
    if (!RESULT.has(field)) COMPARERS.get(field)?.(compared, compared.step[field]);
  }
}

/** Reports every field of the step in which the specification differs from the recording. */
export function compareStep(compared: Compared): void {
  const { step, report } = compared;
  for (const field in step) {
    const comparer = COMPARERS.get(field);
    if (comparer !== undefined) comparer(compared, step[field]);
  }
  for (const [field, value, ours] of ABSENT_MEANS) {
    if (step[field] === undefined) compareScalar(report, field, value, ours(compared));
  }
}
