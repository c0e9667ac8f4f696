/**
 * What the specification makes of one set-up: each call alone, each after the other, and Y at any point of X. All of it
 * is measured when it is first asked for, and the stage is as before afterwards.
 */
import type { Cell } from '../../spec/machine/machine.ts';
import { SHARED, type Mode } from '../../spec/tdx/locks.ts';
import { MODULE_HALT } from '../../spec/tdx/status.ts';
import type { Names } from './conflicts-names.ts';
import { failedLock, guestRax, isBusy, runAlone, runPair, statusText, watchedEntry } from './conflicts-run.ts';
import { isTried, listening, LockWatch, traceCall, withoutInside, type Trace, type TraceEvent } from './conflicts-trace.ts';
import { begin, type Party, type Scene } from './setups-scene.ts';

/** Y at one point of X, in the recordings' words. */
export interface Paused {
  readonly yStatus: string;
  readonly xStatus: string;
  readonly yFailedLock: string | null;
  readonly yFailedLockKind: string | null;
  readonly entryAtPause: bigint;
  readonly entryWhilePaused: bigint;
  readonly entryAfter: bigint;
  readonly yRax: bigint;
  /** X;Y or Y;X explains what both answered, a BUSY being a call that did nothing. */
  readonly linearizable: boolean;
  readonly lockLeak: boolean | 'halted';
}

export class Measured {
  private readonly scene: Scene;
  private readonly names: Names;
  private readonly answers = new Map<string, unknown>();

  constructor(scene: Scene, names: Names) {
    this.scene = scene;
    this.names = names;
  }

  private once<T>(what: string, measure: () => T): T {
    if (!this.answers.has(what)) {
      const { stage } = this.scene;
      const mark = stage.mark();
      const answer = measure();
      stage.undo(mark);
      this.answers.set(what, answer);
    }
    return this.answers.get(what) as T; // stored under its own name
  }

  private inGuest<T>(measure: () => T): T {
    this.scene.enterX();
    return measure();
  }

  get entryBefore(): bigint {
    return watchedEntry(this.scene);
  }

  get xAlone(): string {
    return this.once('xAlone', () => this.inGuest(() => statusText(runAlone(this.scene, this.scene.x))));
  }

  /** Y without X: also without X's VCPU being in the guest. */
  get yAlone(): string {
    return this.once('yAlone', () => statusText(runAlone(this.scene, this.scene.y)));
  }

  /** Y without X, but with X's VCPU in the guest. */
  get yBeforeX(): string {
    return this.once('yBeforeX', () => this.inGuest(() => statusText(runAlone(this.scene, this.scene.y))));
  }

  get yAfterX(): string {
    return this.once('yAfterX', () => this.inGuest(() => {
      runAlone(this.scene, this.scene.x);
      return statusText(runAlone(this.scene, this.scene.y));
    }));
  }

  get xAfterY(): string {
    return this.once('xAfterY', () => this.inGuest(() => {
      runAlone(this.scene, this.scene.y);
      return statusText(runAlone(this.scene, this.scene.x));
    }));
  }

  /** X's events, or null for a VCPU that merely runs. */
  get trace(): Trace | null {
    return this.once('trace', () => this.inGuest(() => {
      const steps = begin(this.scene.stage, this.scene.x);
      if (steps === null) return null;
      const trace = traceCall(this.scene.stage.tdx, this.names, steps);
      return isLargeAccept(this.scene.x) ? withoutInside(trace) : trace;
    }));
  }

  /** Y after so many of X's steps. `acquiring`: X has still to clear the host priority of that lock. */
  pausedAt(steps: number, acquiring: Cell = -1): Paused {
    const alone: Alone = { x: this.xAlone, y: this.yBeforeX, xAfterY: this.xAfterY, yAfterX: this.yAfterX };
    return this.once(`at ${steps} ${acquiring}`, () => this.inGuest(() => this.pause(steps, acquiring, alone)));
  }

  private pause(steps: number, acquiring: Cell, alone: Alone): Paused {
    const watch = new RefusalWatch();
    const outcome = listening(this.scene.stage.tdx, watch, () => runPair(this.scene, steps, acquiring));
    const { y, x } = outcome;
    const yStatus = statusText(y);
    const xStatus = statusText(x);
    const halted = y.status === MODULE_HALT || x?.status === MODULE_HALT;
    const lock = failedLock(this.names, y);
    return {
      yStatus,
      xStatus,
      yFailedLock: lock,
      yFailedLockKind: lock === null ? null : watch.kindOf(y.busyLock),
      entryAtPause: outcome.entryAtPause,
      entryWhilePaused: outcome.entryAfterY,
      entryAfter: outcome.entryAfter,
      yRax: guestRax(y),
      linearizable: isExplained(alone, yStatus, xStatus, isBusy(y), x !== null && isBusy(x)),
      lockLeak: halted ? 'halted' : outcome.leak,
    };
  }

  /** The events at which the recorder tried Y. */
  get tried(): readonly TraceEvent[] {
    const watched = this.scene.watched();
    const own = watched < 0 ? '' : this.names.lock(watched);
    return this.trace?.events.filter((event) => isTried(event, own)) ?? [];
  }

  /** Nothing to be seen of Y's having run at that point: both answer as they would alone. */
  isUnchanged(paused: Paused): boolean {
    return paused.yStatus === this.yBeforeX && paused.xStatus === this.xAlone && paused.linearizable;
  }
}

/** The recorder did not step inside the acceptance of a 2 MiB page. */
const isLargeAccept = ({ fn, operands }: Party): boolean =>
  fn?.name === 'TDG.MEM.PAGE.ACCEPT' && operands.rcx % 8 === 1;

/** What both answer when nobody is suspended. */
interface Alone {
  readonly x: string;
  readonly y: string;
  readonly xAfterY: string;
  readonly yAfterX: string;
}

const isExplained = (alone: Alone, y: string, x: string, yBusy: boolean, xBusy: boolean): boolean =>
  (x === alone.x && (yBusy || y === alone.yAfterX)) || (y === alone.y && (xBusy || x === alone.xAfterY));

/** Remembers how locks were asked for when they were refused. */
class RefusalWatch extends LockWatch {
  private readonly kinds = new Map<Cell, string>();

  override refused(cell: Cell, mode: Mode): void {
    const promoting = this.last?.what === 'taken' && this.last.cell === cell && this.last.mode === SHARED;
    this.kinds.set(cell, promoting ? 'PROMOTE' : mode === SHARED ? 'SHARED' : 'EXCLUSIVE');
    super.refused(cell, mode);
  }

  kindOf(cell: Cell): string | null {
    return this.kinds.get(cell) ?? null;
  }
}
