/**
 * Runs the `experiments` of `conflicts.json`: sequences of calls about one entry, one of which is
 * suspended while it holds its locks. vCPU 0 is in the guest when they begin.
 */
import { traceCall } from '../../../../properties/module/recordings/conflicts/call-trace.ts';
import { RecordedNames } from '../../../../properties/module/recordings/conflicts/recorded-names.ts';
import { guestRax, statusText } from '../../../../properties/module/recordings/conflicts/status.ts';
import { leafPage } from '../../../../properties/module/recordings/setups/entries.ts';
import { setUpPair } from '../../../../properties/module/recordings/setups/pairs.ts';
import {
  functionNamed,
  lpOf,
  operandsOf,
  type Testbed,
} from '../../../../properties/module/recordings/setups/testbed.ts';
import type { Steps } from '../../../../spec/machine/step.ts';
import { atomically } from '../../../../spec/machine/step.ts';
import type { Call, Operands } from '../../../../spec/tdx/call.ts';
import {
  ENTRY_LOCK,
  HOST_PRIORITY,
  stateName,
  stateOf,
  toRaw,
  withoutLocks,
} from '../../../../spec/tdx/entry.ts';
import { TD } from '../../../../spec/tdx/td.ts';

/** A line of a sequence: a call, or the raw value of a lock. */
export interface Line {
  readonly who?: string;
  readonly op?: string;
  readonly status?: string;
  readonly entryRawAfter?: string;
  readonly hpBit?: number;
  readonly lockBit?: number;
  readonly state?: string;
  readonly guestVisibleRax?: string;
  readonly septTreeLockRaw?: number;
  readonly tdrPamtLockRaw?: number;
}

export interface Experiment {
  readonly name: string;
  readonly sequence: readonly Line[];
}

const SUSPENDED = '(suspended holding its locks)';
const PAGE_BYTES = 4096n;
const PAGE_BITS = 0x000f_ffff_ffff_f000n;

/** The sequence as the specification has it. */
export function runExperiment(testbed: Testbed, { name, sequence }: Experiment): Line[] {
  const level = name.startsWith('2MB') ? 1 : 0;
  const setup = setUpPair(testbed, {
    recorder: 'conflicts',
    x: 'TDG.MEM.PAGE.ACCEPT',
    y: 'TDH.MEM.TRACK',
    relation: 'sameEntry',
    opState: 'RUNNABLE',
    xEntry: `PENDING@L${level}`,
    yEntry: null,
  });
  setup.enterX();
  const names = new RecordedNames(testbed.u);
  let suspended: Steps<Call> | null = null;
  let accepted = 0;

  /** Operands of each call of the experiments; interrupts at the recorded progress. */
  const operands = (line: Line): Operands => {
    const given = {
      'TDG.MEM.PAGE.ACCEPT': {
        rcx: level,
        vcpu: testbed.tdvpr(0, 0),
        lp: lpOf(0, 0),
        interruptAfter: looks(line),
      },
      'TDH.VP.ENTER': { rcx: testbed.address(testbed.tdvpr(0, 0)), lp: lpOf(0, 0) },
      'TDH.MEM.TRACK': { rcx: testbed.tdrAddress(0) },
      'TDH.MR.FINALIZE': { rcx: testbed.tdrAddress(0) },
    }[line.op ?? ''];
    return operandsOf(given ?? { rcx: level, rdx: testbed.tdrAddress(0) });
  };
  const looks = ({ entryRawAfter, guestVisibleRax }: Line): number => {
    if (level === 0 || guestVisibleRax !== undefined) return -1;
    const progress = Number(
      ((BigInt(entryRawAfter ?? 0) & PAGE_BITS) - BigInt(leafPage(0, 1))) / PAGE_BYTES,
    );
    const pages = progress - accepted;
    accepted = progress;
    return pages;
  };
  const view = (): Line => {
    const entry = testbed.m.peek(setup.watched());
    return {
      entryRawAfter: `0x${toRaw(entry, testbed.tdx.base).toString(16)}`,
      hpBit: (entry & HOST_PRIORITY) === 0 ? 0 : 1,
      lockBit: (entry & ENTRY_LOCK) === 0 ? 0 : 1,
      state: stateName(stateOf(withoutLocks(entry))),
    };
  };

  return sequence.map((line) => {
    if (line.septTreeLockRaw !== undefined)
      return { septTreeLockRaw: testbed.m.peek(testbed.tdCell(0, TD.SEPT_LOCK)) };
    if (line.tdrPamtLockRaw !== undefined) {
      return { tdrPamtLockRaw: testbed.m.peek(testbed.tdx.pamt.lock(testbed.slot(0).tdr, 0)) };
    }
    if (line.op === 'HW.TD.EXIT') {
      testbed.exit(0, 0);
      return { ...line, ...view() };
    }
    const fn = functionNamed(line.op ?? '');
    const given = operands(line);
    if (line.status === SUSPENDED) {
      const mark = testbed.mark();
      const { lastAcquire } = traceCall(testbed.tdx, names, testbed.tdx.invoke(fn, given));
      testbed.undo(mark);
      suspended = testbed.tdx.invoke(fn, given);
      const beyond = name.includes('already re-read') ? 1 : 0;
      for (let i = 0; i <= lastAcquire + beyond; i++) suspended.next();
      return { ...line, ...view() };
    }
    const call: Call = atomically(
      suspended !== null && line.who?.includes('resumed') === true
        ? suspended
        : testbed.tdx.invoke(fn, given),
    );
    const seen =
      line.guestVisibleRax === undefined ? {} : rax(line, `0x${guestRax(call).toString(16)}`);
    return { ...line, ...view(), status: statusText(call), ...seen };
  });
}

/** The guest's RAX in the recording's words, or the difference. */
const rax = ({ guestVisibleRax }: Line, seen: string): Line => ({
  guestVisibleRax: RAX.get(seen) ?? `${seen}, not ${guestVisibleRax}`,
});

const RAX = new Map([
  ['0x0', 'TDX_SUCCESS'],
  ['0x8000020000000001', 'TDX_OPERAND_BUSY|RCX'],
]);
