/**
 * What the specification makes of one set-up: each call alone, each after the other, and Y at any
 * point of X. All of it is measured when it is first asked for, and the stage is as before
 * afterwards.
 */
import type { Cell } from '../../../../spec/machine/machine.ts';
import { MODULE_HALT } from '../../../../spec/tdx/status.ts';
import { begin, type Party, type Scene } from '../setups/scene.ts';
import type { Names } from './names.ts';
import { runAlone, runPair, watchedEntry } from './run.ts';
import { failedLock, guestRax, isBusy, statusText } from './status.ts';
import { isTried, traceCall, withoutInside, type Trace, type TraceEvent } from './trace.ts';

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

  /**
   * Runs calls one after the other, X's vCPU being in the guest if X is on that side; what the last
   * one answers.
   */
  private afterEachOther(...parties: readonly Party[]): string {
    this.scene.enterX();
    return parties.map((party) => statusText(runAlone(this.scene, party))).at(-1) ?? '';
  }

  /** The watched entry before anything happens, raw. */
  get entryBefore(): bigint {
    return watchedEntry(this.scene);
  }

  get xAlone(): string {
    return this.once('xAlone', () => this.afterEachOther(this.scene.x));
  }

  /** Y without X: also without X's vCPU being in the guest. */
  get yAlone(): string {
    return this.once('yAlone', () => statusText(runAlone(this.scene, this.scene.y)));
  }

  /** Y without X, but with X's vCPU in the guest. */
  get yBeforeX(): string {
    return this.once('yBeforeX', () => this.afterEachOther(this.scene.y));
  }

  get yAfterX(): string {
    return this.once('yAfterX', () => this.afterEachOther(this.scene.x, this.scene.y));
  }

  get xAfterY(): string {
    return this.once('xAfterY', () => this.afterEachOther(this.scene.y, this.scene.x));
  }

  /** X's events, or null for a vCPU that merely runs. */
  get trace(): Trace | null {
    return this.once('trace', () => {
      this.scene.enterX();
      const steps = begin(this.scene.stage, this.scene.x);
      if (steps === null) return null;
      const trace = traceCall(this.scene.stage.tdx, this.names, steps);
      return isLargeAccept(this.scene.x) ? withoutInside(trace) : trace;
    });
  }

  /** The events at which the recorder tried Y. */
  get tried(): readonly TraceEvent[] {
    const watched = this.scene.watched();
    const own = watched < 0 ? '' : this.names.lock(watched);
    return this.trace?.events.filter((event) => isTried(event, own)) ?? [];
  }

  /** Y after so many of X's steps. `acquiring`: X has still to clear the host priority of that lock. */
  pausedAt(steps: number, acquiring: Cell = -1): Paused {
    const alone: Alone = {
      x: this.xAlone,
      y: this.yBeforeX,
      xAfterY: this.xAfterY,
      yAfterX: this.yAfterX,
    };
    return this.once(`at ${steps} ${acquiring}`, () => {
      this.scene.enterX();
      return this.pause(steps, acquiring, alone);
    });
  }

  private pause(steps: number, acquiring: Cell, alone: Alone): Paused {
    const { y, x, ...outcome } = runPair(this.scene, steps, acquiring);
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

  /** Nothing tells that Y ran at that point: both answer as they would alone. */
  isUnchanged(paused: Paused): boolean {
    return (
      paused.yStatus === this.yBeforeX && paused.xStatus === this.xAlone && paused.linearizable
    );
  }
}

/** What both answer when nobody is suspended. */
interface Alone {
  readonly x: string;
  readonly y: string;
  readonly xAfterY: string;
  readonly yAfterX: string;
}

/** The recorder did not step inside the acceptance of a 2 MiB page. */
const isLargeAccept = ({ fn, operands }: Party): boolean =>
  fn?.name === 'TDG.MEM.PAGE.ACCEPT' && operands.rcx % 8 === 1;
