/**
 * Runs one set-up on the specification: each call alone, each after the other, and Y at any point
 * of X. Each run happens at the first request for its result, and is undone on the testbed.
 */
import type { Cell } from '../../../../spec/machine/machine.ts';
import { MODULE_HALT } from '../../../../spec/tdx/status.ts';
import { supervised } from '../../../checker/module-guard.ts';
import { start, type PairCall, type PairSetup } from '../setups/pair-setup.ts';
import { isTried, traceCall, withoutInside, type CallTrace, type CallEvent } from './call-trace.ts';
import type { RecordedNames } from './recorded-names.ts';
import { runAlone, runPair, watchedEntry } from './run.ts';
import { failedLock, guestRax, isBusy, statusText } from './status.ts';

/** The outcome of Y at one point of X, as recordings write it. */
export interface PausedOutcome {
  readonly yStatus: string;
  readonly xStatus: string;
  readonly yFailedLock: string | null;
  readonly yFailedLockKind: string | null;
  readonly entryAtPause: bigint;
  readonly entryWhilePaused: bigint;
  readonly entryAfter: bigint;
  readonly yRax: bigint;
  /** X;Y or Y;X explains both statuses; a call that is BUSY did nothing. */
  readonly linearizable: boolean;
  readonly lockLeak: boolean | 'halted';
}

export class PairMeasurement {
  private readonly setup: PairSetup;
  private readonly names: RecordedNames;
  private readonly results = new Map<string, unknown>();

  constructor(setup: PairSetup, names: RecordedNames) {
    this.setup = setup;
    this.names = names;
  }

  private once<T>(what: string, measure: () => T): T {
    if (!this.results.has(what)) {
      const { testbed } = this.setup;
      const mark = testbed.mark();
      const result = measure();
      testbed.undo(mark);
      this.results.set(what, result);
    }
    return this.results.get(what) as T; // stored under its own name
  }

  /**
   * Runs calls one after the other, with X's vCPU in the guest if X is on that side. Returns the
   * status of the last one.
   */
  private afterEachOther(...calls: readonly PairCall[]): string {
    this.setup.enterX();
    return calls.map((call) => statusText(runAlone(this.setup, call))).at(-1) ?? '';
  }

  /** The raw value of the watched entry before both calls. */
  get entryBefore(): bigint {
    return watchedEntry(this.setup);
  }

  get xAlone(): string {
    return this.once('xAlone', () => this.afterEachOther(this.setup.x));
  }

  /** Y without X, and without X's vCPU in the guest. */
  get yAlone(): string {
    return this.once('yAlone', () => statusText(runAlone(this.setup, this.setup.y)));
  }

  /** Y without X, but with X's vCPU in the guest. */
  get yBeforeX(): string {
    return this.once('yBeforeX', () => this.afterEachOther(this.setup.y));
  }

  get yAfterX(): string {
    return this.once('yAfterX', () => this.afterEachOther(this.setup.x, this.setup.y));
  }

  get xAfterY(): string {
    return this.once('xAfterY', () => this.afterEachOther(this.setup.y, this.setup.x));
  }

  /** X's events, or null for a vCPU that only runs. */
  get trace(): CallTrace | null {
    return this.once('trace', () => {
      this.setup.enterX();
      const steps = start(this.setup.testbed, this.setup.x);
      if (steps === null) return null;
      const { tdx } = this.setup.testbed;
      const trace = supervised(tdx.version, () => traceCall(tdx, this.names, steps));
      return isLargeAccept(this.setup.x) ? withoutInside(trace) : trace;
    });
  }

  /** The events at which the recorder tried Y. */
  get tried(): readonly CallEvent[] {
    const watched = this.setup.watched();
    const own = watched < 0 ? '' : this.names.lock(watched);
    return this.trace?.events.filter((event) => isTried(event, own)) ?? [];
  }

  /** Y after `steps` steps of X, which has still to clear the host priority of `acquiring`. */
  pausedAt(steps: number, acquiring: Cell = -1): PausedOutcome {
    const alone: Alone = {
      x: this.xAlone,
      y: this.yBeforeX,
      xAfterY: this.xAfterY,
      yAfterX: this.yAfterX,
    };
    return this.once(`at ${steps} ${acquiring}`, () => {
      this.setup.enterX();
      return this.pause(steps, acquiring, alone);
    });
  }

  private pause(steps: number, acquiring: Cell, alone: Alone): PausedOutcome {
    const { y, x, ...outcome } = runPair(this.setup, steps, acquiring);
    const yStatus = statusText(y);
    const xStatus = statusText(x);
    const lock = failedLock(this.names, y);
    const isHalted = y.status === MODULE_HALT || x?.status === MODULE_HALT;
    return {
      yStatus,
      xStatus,
      yFailedLock: lock,
      yFailedLockKind: lock === null ? null : outcome.refusal,
      entryAtPause: outcome.entryAtPause,
      entryWhilePaused: outcome.entryAfterY,
      entryAfter: outcome.entryAfter,
      yRax: guestRax(y),
      linearizable:
        (xStatus === alone.x && (isBusy(y) || yStatus === alone.yAfterX)) ||
        (yStatus === alone.y && (isBusy(x) || xStatus === alone.xAfterY)),
      lockLeak: isHalted ? 'halted' : outcome.hasLeak,
    };
  }

  /** The outcome does not depend on Y's running at that point: both statuses are those alone. */
  isUnchanged(paused: PausedOutcome): boolean {
    return (
      paused.yStatus === this.yBeforeX && paused.xStatus === this.xAlone && paused.linearizable
    );
  }
}

/** The statuses of both calls if neither is suspended. */
interface Alone {
  readonly x: string;
  readonly y: string;
  readonly xAfterY: string;
  readonly yAfterX: string;
}

/** The recorder did not step inside the acceptance of a 2M page. */
const isLargeAccept = ({ fn, operands }: PairCall): boolean =>
  fn?.name === 'TDG.MEM.PAGE.ACCEPT' && operands.rcx % 8 === 1;
