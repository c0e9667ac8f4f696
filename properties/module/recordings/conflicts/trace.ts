/**
 * The events of one call, as the recorder of pairs counted them, and at which step of ours each of
 * them lies.
 *
 * An acquire is three events (before it, the lock word's write, after it), a watched write is one,
 * a release is two (before it, the lock word's write). A write is watched when it changes a watched
 * word; see conflicts-names.ts. Source: README of the recordings; the indexes of
 * `commit-order.jsonl`.
 */
import type { Cell } from '../../../../spec/machine/machine.ts';
import {
  cellOf,
  kindOf,
  RELEASE,
  RMW,
  TRY,
  WRITE,
  type Access,
  type Steps,
} from '../../../../spec/machine/step.ts';
import type { Call } from '../../../../spec/tdx/call.ts';
import type { TdxModule } from '../../../../spec/tdx/module.ts';
import { listening, LockWatch, type LockEvent } from './locks.ts';
import type { Names } from './names.ts';

export type EventKind =
  | 'beforeAcquire'
  | 'acquiring'
  | 'afterAcquire'
  | 'refused'
  | 'afterWrite'
  | 'beforeRelease'
  | 'releasing';

export interface TraceEvent {
  /** Counted from 1. */
  readonly index: number;
  readonly event: EventKind;
  readonly what: string;
  /** Of a lock: SHARED, EXCLUSIVE, or PROMOTE from one to the other. */
  readonly kind?: string;
  /** Of a write: the word before and after. */
  readonly old?: bigint;
  readonly new?: bigint;
  /** The lock's cell while it is being acquired, else -1. */
  readonly acquiring: Cell;
  /** So many of the call's steps have been performed at this event. */
  readonly steps: number;
}

export interface Trace {
  readonly events: readonly TraceEvent[];
  readonly call: Call;
  /** Locks acquired, and the step that acquired the last of them. */
  readonly acquired: number;
  readonly lastAcquire: number;
}

/** Runs a call to its end, with nobody in between, and tells its events. */
export function traceCall(tdx: TdxModule, names: Names, steps: Steps<Call>): Trace {
  const watch = new LockWatch();
  return listening(tdx, watch, () => new Tracer(names, watch).run(steps));
}

class Tracer {
  private readonly names: Names;
  private readonly watch: LockWatch;
  private readonly events: TraceEvent[] = [];
  private steps = 0;
  private acquired = 0;
  private lastAcquire = 0;

  constructor(names: Names, watch: LockWatch) {
    this.names = names;
    this.watch = watch;
  }

  run(steps: Steps<Call>): Trace {
    let next = steps.next();
    while (next.done !== true) {
      const announced = next.value;
      this.watch.last = null;
      const tellAfter = this.tellerOf(announced);
      next = steps.next();
      this.steps++;
      tellAfter?.();
    }
    const { events, acquired, lastAcquire } = this;
    return { events, call: next.value, acquired, lastAcquire };
  }

  /** Looks at what a step is about to touch; the result tells what has come of it. */
  private tellerOf(announced: Access): (() => void) | null {
    const cell = cellOf(announced);
    switch (kindOf(announced)) {
      case WRITE:
      case RMW:
        return this.write(cell);
      case TRY:
        return this.acquire(cell);
      case RELEASE:
        return this.release(cell);
      default:
        return null;
    }
  }

  private tell(
    event: EventKind,
    what: string,
    steps: number,
    more: Partial<TraceEvent> = {},
  ): void {
    this.events.push({ index: this.events.length + 1, event, what, acquiring: -1, steps, ...more });
  }

  private write(cell: Cell): (() => void) | null {
    const word = this.names.word(cell);
    if (word === null) return null;
    const old = word.raw();
    return () => {
      const now = word.raw();
      if (now !== old) this.tell('afterWrite', word.name, this.steps, { old, new: now });
    };
  }

  private acquire(cell: Cell): () => void {
    const what = this.names.lock(cell);
    return () => {
      const before = this.steps - 1;
      const last = this.watch.last as LockEvent | null; // set since by the step
      if (last?.what !== 'taken') {
        this.tell('beforeAcquire', what, before);
        this.tell('refused', what, this.steps);
        return;
      }
      const { kind } = last;
      this.tell('beforeAcquire', what, before, { kind });
      this.tell('acquiring', what, this.steps, { kind, acquiring: cell });
      this.tell('afterAcquire', what, this.steps, { kind });
      this.acquired++;
      this.lastAcquire = this.steps;
    };
  }

  private release(cell: Cell): () => void {
    const what = this.names.lock(cell);
    return () => {
      const kind = (this.watch.last as LockEvent | null)?.kind ?? 'EXCLUSIVE'; // set since by the step
      this.tell('beforeRelease', what, this.steps - 1, { kind });
      this.tell('releasing', what, this.steps, { kind });
    };
  }
}

/** The events that recordings list: not those inside a lock's own code, nor those before an acquire. */
const LISTED: ReadonlySet<EventKind> = new Set<EventKind>([
  'afterAcquire',
  'beforeRelease',
  'afterWrite',
]);
export const isListed = ({ event }: TraceEvent): boolean => LISTED.has(event);

const ACQUIRES: ReadonlySet<EventKind> = new Set<EventKind>([
  'beforeAcquire',
  'acquiring',
  'afterAcquire',
  'refused',
]);
const ENTRY_LOCK = /^SEPT_ENTRY\[page=.*,idx=(\d+)\]$/;
const FIRST_CHILDREN = 4;
const EACH = 250;

/**
 * Was this event tried by the recorder? Of the 512 entry locks that PROMOTE takes on the children,
 * it stepped through the first four and each 250th. `own` is the name of X's own entry.
 */
export function isTried({ event, what }: TraceEvent, own: string): boolean {
  const index = what !== own && ACQUIRES.has(event) ? ENTRY_LOCK.exec(what)?.[1] : undefined;
  if (index === undefined) return true;
  const child = Number(index);
  return child < FIRST_CHILDREN || child % EACH === EACH - 1;
}

const OUTSIDE: ReadonlySet<EventKind> = new Set<EventKind>([
  'beforeAcquire',
  'afterAcquire',
  'beforeRelease',
]);

/**
 * The trace as the recorder has it where it does not step inside: only where lock functions begin
 * and end.
 */
export const withoutInside = (trace: Trace): Trace => ({
  ...trace,
  events: trace.events
    .filter(({ event }) => OUTSIDE.has(event))
    .map((event, i) => ({ ...event, index: i + 1 })),
});
