/**
 * Runs one set-up on the specification: each call alone, each after the other, and Y at any point
 * of X. Each run happens at the first request for its result, and is undone on the testbed.
 */
import type { Cell } from '../../../../spec/machine/machine.ts';
import type { Call } from '../../../../spec/tdx/call.ts';
import { MODULE_HALT } from '../../../../spec/tdx/status.ts';
import { supervised } from '../../../checker/module-guard.ts';
import type { Conventions } from '../setups/conventions.ts';
import { start, type PairCall, type PairSetup } from '../setups/pair-setup.ts';
import {
  isTried,
  isTriedExchange,
  pointsOf,
  sparsely,
  traceCall,
  withoutInside,
  type CallEvent,
  type CallTrace,
} from './call-trace.ts';
import { LockObserver, observing } from './lock-observer.ts';
import { isExplained, NOT_COMPARED, outputsOf, type Orders, type Ran } from './ran.ts';
import type { RecordedNames } from './recorded-names.ts';
import { runAlone, runPair, watchedEntry } from './run.ts';
import { failedLock, isBusy, statusText, visibleRax } from './status.ts';

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
  /** X;Y or Y;X explains both calls; a call that is BUSY did nothing. */
  readonly linearizable: boolean;
  readonly lockLeak: boolean | 'halted';
}

/** What recordings write for a call that has no vCPU to make it. */
const NOT_IN_GUEST = '(VCPU not in guest)'; // as recordings spell it

export class PairMeasurement {
  private readonly setup: PairSetup;
  private readonly names: RecordedNames;
  readonly conventions: Conventions;
  private readonly results = new Map<string, unknown>();

  constructor(setup: PairSetup, names: RecordedNames) {
    this.setup = setup;
    this.names = names;
    this.conventions = setup.testbed.conventions;
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
   * Runs calls one after the other, with X's vCPU in the guest if X is on that side. Returns what
   * each did.
   */
  private inOrder(order: 'x' | 'y' | 'xy' | 'yx'): Ran {
    return this.once(order, () => {
      const { testbed } = this.setup;
      this.setup.enterX();
      const mark = testbed.mark();
      const done = new Map<string, Call | null>();
      for (const which of order)
        done.set(which, runAlone(this.setup, which === 'x' ? this.setup.x : this.setup.y));
      return this.ran(done.get('x') ?? null, done.get('y') ?? null, mark);
    });
  }

  private ran(x: Call | null, y: Call | null, mark: number): Ran {
    const { testbed } = this.setup;
    const statuses = { xStatus: this.textOf(x), yStatus: this.textOf(y) };
    if (!this.conventions.comparesState) return { ...statuses, ...NOT_COMPARED };
    return {
      ...statuses,
      xOutputs: outputsOf(testbed.tdx, x),
      yOutputs: outputsOf(testbed.tdx, y),
      state: testbed.changesSince(mark),
    };
  }

  private textOf(call: Call | null): string {
    return statusText(call, this.conventions);
  }

  /** The raw value of the watched entry before both calls. */
  get entryBefore(): bigint {
    return watchedEntry(this.setup);
  }

  get xAlone(): string {
    return this.inOrder('x').xStatus;
  }

  /** Y without X. Recorders differ in whether X's vCPU is in the guest then. */
  get yAlone(): string {
    if (this.setup.needsX) return NOT_IN_GUEST;
    if (this.conventions.yAloneSeesX && this.setup.x.name !== null) return this.yBeforeX;
    return this.once('yAlone', () => this.textOf(runAlone(this.setup, this.setup.y)));
  }

  /** Y without X, but with X's vCPU in the guest. */
  get yBeforeX(): string {
    return this.inOrder('y').yStatus;
  }

  get yAfterX(): string {
    return this.inOrder('xy').yStatus;
  }

  get xAfterY(): string {
    return this.inOrder('yx').xStatus;
  }

  /** X's events, or null for a vCPU that only runs. */
  get trace(): CallTrace | null {
    return this.once('trace', () => {
      this.setup.enterX();
      const steps = start(this.setup.testbed, this.setup.x);
      if (steps === null) return null;
      const { testbed } = this.setup;
      const { version } = testbed.tdx;
      const trace = supervised(version, () => traceCall(testbed, this.names, steps));
      const hidden = !this.conventions.guestLockIsWrite && isLargeAccept(this.setup.x);
      return hidden ? withoutInside(trace) : trace;
    });
  }

  /** The number of locks that recordings report for X when it is suspended. */
  get locksAtPause(): number | null {
    const { trace } = this;
    if (trace !== null) return this.conventions.countsHeld ? trace.held : trace.acquired;
    return this.conventions.countsLocksOfGuest ? this.locksOfGuest : null;
  }

  /** Number of locks that X's vCPU holds while it is in the guest. */
  private get locksOfGuest(): number {
    return this.once('locks', () => {
      const observer = new LockObserver();
      observing(this.setup.testbed.tdx, observer, () => this.setup.enterX());
      return [...observer.held.values()].reduce((sum, held) => sum + held, 0);
    });
  }

  /** The events at which the recorder tried Y. */
  get tried(): readonly CallEvent[] {
    const watched = this.setup.watched();
    const own = watched < 0 ? '' : this.names.lock(watched);
    const events = this.trace?.events ?? [];
    if (this.conventions.samplesLongCalls) return sparsely(events);
    return events.filter((event) => isTried(event, own));
  }

  /** The compare-and-exchanges of entries before which the recorder tried Y. */
  get triedExchanges(): readonly CallEvent[] {
    const exchanges = this.trace?.exchanges ?? [];
    return exchanges.filter(({ index }) => isTriedExchange(index, exchanges.length));
  }

  /** The outcomes of Y at the steps of X; of a long call at some of them. */
  get anywhere(): readonly PausedOutcome[] {
    return this.once('anywhere', () => pointsOf(this.trace)).map((steps) => this.pausedAt(steps));
  }

  /** Y after `steps` steps of X, which has still to clear the host priority of `acquiring`. */
  pausedAt(steps: number, acquiring: Cell = -1): PausedOutcome {
    const orders = {
      x: this.inOrder('x'),
      y: this.inOrder('y'),
      xy: this.inOrder('xy'),
      yx: this.inOrder('yx'),
    };
    return this.once(`at ${steps} ${acquiring}`, () => {
      this.setup.enterX();
      return this.pause(steps, acquiring, orders);
    });
  }

  private pause(steps: number, acquiring: Cell, orders: Orders): PausedOutcome {
    const mark = this.setup.testbed.mark();
    const { y, x, ...outcome } = runPair(this.setup, steps, acquiring);
    const ran = this.ran(x, y, mark);
    const lock = failedLock(this.names, y);
    const isHalted = y.status === MODULE_HALT || x?.status === MODULE_HALT;
    const isOfGuest =
      lock !== null && this.conventions.guestLockIsWrite && this.names.isEntry(y.busyLock);
    return {
      yStatus: ran.yStatus,
      xStatus: ran.xStatus,
      yFailedLock: lock,
      yFailedLockKind: lock === null ? null : isOfGuest ? 'GUEST_EXCLUSIVE' : outcome.refusal,
      entryAtPause: outcome.entryAtPause,
      entryWhilePaused: this.conventions.seesEntryBeforeY
        ? outcome.entryAtPause
        : outcome.entryAfterY,
      entryAfter: outcome.entryAfter,
      yRax: visibleRax(y, this.conventions),
      linearizable: isExplained(ran, orders, { x: isBusy(x), y: isBusy(y) }),
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

/** The recorder did not step inside the acceptance of a 2M page. */
const isLargeAccept = ({ name, operands }: PairCall): boolean =>
  name === 'TDG.MEM.PAGE.ACCEPT' && operands.rcx % 8 === 1;
