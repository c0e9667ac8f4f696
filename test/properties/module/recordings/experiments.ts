/**
 * Runs the experiments of the real module's `conflicts.json`: sequences of calls about one entry,
 * one of which is suspended while it holds its locks. At the beginning, vCPU 0 is in the guest.
 */
import { traceCall } from '../../../../properties/module/recordings/conflicts/call-trace.ts';
import { RecordedNames } from '../../../../properties/module/recordings/conflicts/recorded-names.ts';
import {
  statusText,
  visibleRax,
} from '../../../../properties/module/recordings/conflicts/status.ts';
import { leafPage } from '../../../../properties/module/recordings/setups/entries.ts';
import type { PairSetup } from '../../../../properties/module/recordings/setups/pair-setup.ts';
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
import type { InterfaceFunction } from '../../../../spec/tdx/module.ts';
import { TD } from '../../../../spec/tdx/td.ts';

/** A line of a sequence: a call, or the raw value of a lock. */
interface Line {
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

/** The caller of a line says that it resumes the suspended call. */
const resumes = (line: Line): boolean =>
  Object.values(line).some((value) => String(value).endsWith('(resumed)'));

/** Returns the sequence with the specification's values. */
export const runExperiment = (testbed: Testbed, experiment: Experiment): Line[] =>
  new ExperimentRun(testbed, experiment).lines();

class ExperimentRun {
  private readonly testbed: Testbed;
  private readonly experiment: Experiment;
  private readonly level: number;
  private readonly setup: PairSetup;
  private suspended: Steps<Call> | null = null;
  private accepted = 0;

  constructor(testbed: Testbed, experiment: Experiment) {
    this.testbed = testbed;
    this.experiment = experiment;
    this.level = experiment.name.startsWith('2MB') ? 1 : 0;
    this.setup = setUpPair(testbed, {
      recorder: 'conflicts',
      x: 'TDG.MEM.PAGE.ACCEPT',
      y: 'TDH.MEM.TRACK',
      relation: 'sameEntry',
      opState: 'RUNNABLE',
      xEntry: `PENDING@L${this.level}`,
      yEntry: null,
    });
  }

  lines(): Line[] {
    this.setup.enterX();
    return this.experiment.sequence.map((line) => this.run(line));
  }

  private run(line: Line): Line {
    const { m, tdx } = this.testbed;
    if (line.septTreeLockRaw !== undefined)
      return { septTreeLockRaw: m.peek(this.testbed.tdCell(0, TD.SEPT_LOCK)) };
    if (line.tdrPamtLockRaw !== undefined)
      return { tdrPamtLockRaw: m.peek(tdx.pamt.lock(this.testbed.slot(0).tdr, 0)) };
    if (line.op === 'HW.TD.EXIT') {
      this.testbed.exit(0, 0);
      return { ...line, ...this.view() };
    }
    const fn = functionNamed(line.op ?? '');
    const given = this.operands(line);
    if (line.status === SUSPENDED) {
      this.suspend(fn, given);
      return { ...line, ...this.view() };
    }
    const steps = resumes(line) ? this.suspended : null;
    const call: Call = atomically(steps ?? tdx.invoke(fn, given));
    const rax = line.guestVisibleRax === undefined ? {} : this.raxOf(line, call);
    return { ...line, ...this.view(), status: statusText(call, this.testbed.conventions), ...rax };
  }

  /** Runs a call up to its last acquisition, or to the step after it if the name says so. */
  private suspend(fn: InterfaceFunction, given: Operands): void {
    const { testbed } = this;
    const names = new RecordedNames(testbed.u);
    const mark = testbed.mark();
    const { lastAcquire } = traceCall(testbed, names, testbed.tdx.invoke(fn, given));
    testbed.undo(mark);
    const steps = testbed.tdx.invoke(fn, given);
    const beyond = this.experiment.name.includes('already re-read') ? 1 : 0;
    for (let i = 0; i <= lastAcquire + beyond; i++) steps.next();
    this.suspended = steps;
  }

  /** The operands of the call on a line. */
  private operands(line: Line): Operands {
    const { testbed, level } = this;
    const given = {
      'TDG.MEM.PAGE.ACCEPT': {
        rcx: level,
        vcpu: testbed.tdvpr(0, 0),
        lp: lpOf(0, 0),
        interruptAfter: this.interruptAfter(line),
      },
      'TDH.VP.ENTER': { rcx: testbed.address(testbed.tdvpr(0, 0)), lp: lpOf(0, 0) },
      'TDH.MEM.TRACK': { rcx: testbed.tdrAddress(0) },
      'TDH.MR.FINALIZE': { rcx: testbed.tdrAddress(0) },
    }[line.op ?? ''];
    return operandsOf(given ?? { rcx: level, rdx: testbed.tdrAddress(0) });
  }

  /** The check at which ACCEPT is interrupted, by the recorded progress; -1 for none. */
  private interruptAfter({ entryRawAfter, guestVisibleRax }: Line): number {
    if (this.level === 0 || guestVisibleRax !== undefined) return -1;
    const progress = Number(
      ((BigInt(entryRawAfter ?? 0) & PAGE_BITS) - BigInt(leafPage(0, 1))) / PAGE_BYTES,
    );
    const pages = progress - this.accepted;
    this.accepted = progress;
    return pages;
  }

  /** RAX as recordings write it; the number if it is another one than recorded. */
  private raxOf({ guestVisibleRax }: Line, call: Call): Line {
    const rax = `0x${visibleRax(call, this.testbed.conventions).toString(16)}`;
    return { guestVisibleRax: RAX.get(rax) ?? `${rax}, not ${guestVisibleRax}` };
  }

  private view(): Line {
    const entry = this.testbed.m.peek(this.setup.watched());
    return {
      entryRawAfter: `0x${toRaw(entry, this.testbed.tdx.base).toString(16)}`,
      hpBit: (entry & HOST_PRIORITY) === 0 ? 0 : 1,
      lockBit: (entry & ENTRY_LOCK) === 0 ? 0 : 1,
      state: stateName(stateOf(withoutLocks(entry))),
    };
  }
}

const RAX = new Map([
  ['0x0', 'TDX_SUCCESS'],
  ['0x8000020000000001', 'TDX_OPERAND_BUSY|RCX'],
]);
