/**
 * The events of one call, as the recorder of pairs counted them, and the step of the specification
 * at which each of them happens.
 *
 * An acquire is three events (before it, the write of the lock word, after it), a watched write is
 * one, a release is two (before it, the write of the lock word). A write is watched if it changes a
 * word that recorded-names.ts names. Source: the indexes of the events in commit-order recordings.
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
import { observing, LockObserver, type LockEvent } from './lock-observer.ts';
import type { RecordedNames } from './recorded-names.ts';

type EventKind =
  | 'beforeAcquire'
  | 'acquiring'
  | 'afterAcquire'
  | 'refused'
  | 'afterWrite'
  | 'beforeRelease'
  | 'releasing';

export interface CallEvent {
  /** Counted from 1. */
  readonly index: number;
  readonly event: EventKind;
  readonly what: string;
  /** Locks only: SHARED, EXCLUSIVE, or PROMOTE from the first to the second. */
  readonly kind?: string;
  /** Writes only: the word before and after. */
  readonly old?: bigint;
  readonly new?: bigint;
  /** The lock's cell while it is being acquired, else -1. */
  readonly acquiring: Cell;
  /** Number of the call's steps performed so far. */
  readonly steps: number;
}

export interface CallTrace {
  readonly events: readonly CallEvent[];
  readonly call: Call;
  /** Number of locks acquired, and the step that acquired the last of them. */
  readonly acquired: number;
  readonly lastAcquire: number;
}

/** Runs a call to its end, in one go, and returns its events. */
export function traceCall(tdx: TdxModule, names: RecordedNames, steps: Steps<Call>): CallTrace {
  const observer = new LockObserver();
  return observing(tdx, observer, () => new CallTracer(names, observer).run(steps));
}

class CallTracer {
  private readonly names: RecordedNames;
  private readonly observer: LockObserver;
  private readonly events: CallEvent[] = [];
  private steps = 0;
  private acquired = 0;
  private lastAcquire = 0;

  constructor(names: RecordedNames, observer: LockObserver) {
    this.names = names;
    this.observer = observer;
  }

  run(steps: Steps<Call>): CallTrace {
    let next = steps.next();
    while (next.done !== true) {
      const announced = next.value;
      this.observer.last = null;
      const emitEvents = this.lookAt(announced);
      next = steps.next();
      this.steps++;
      emitEvents?.();
    }
    const { events, acquired, lastAcquire } = this;
    return { events, call: next.value, acquired, lastAcquire };
  }

  /** Looks at the cell that a step is about to touch. Returns how to emit the step's events. */
  private lookAt(announced: Access): (() => void) | null {
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

  private emit(event: EventKind, what: string, steps: number, more: Partial<CallEvent> = {}): void {
    this.events.push({ index: this.events.length + 1, event, what, acquiring: -1, steps, ...more });
  }

  private write(cell: Cell): (() => void) | null {
    const word = this.names.word(cell);
    if (word === null) return null;
    const old = word.raw();
    return () => {
      const now = word.raw();
      if (now !== old) this.emit('afterWrite', word.name, this.steps, { old, new: now });
    };
  }

  private acquire(cell: Cell): () => void {
    const what = this.names.lock(cell);
    return () => {
      const before = this.steps - 1;
      const last = this.observer.last as LockEvent | null; // the step has set it
      if (last?.what !== 'taken') {
        this.emit('beforeAcquire', what, before);
        this.emit('refused', what, this.steps);
        return;
      }
      const { kind } = last;
      this.emit('beforeAcquire', what, before, { kind });
      this.emit('acquiring', what, this.steps, { kind, acquiring: cell });
      this.emit('afterAcquire', what, this.steps, { kind });
      this.acquired++;
      this.lastAcquire = this.steps;
    };
  }

  private release(cell: Cell): () => void {
    const what = this.names.lock(cell);
    return () => {
      // the step has set it
      const kind = (this.observer.last as LockEvent | null)?.kind ?? 'EXCLUSIVE';
      this.emit('beforeRelease', what, this.steps - 1, { kind });
      this.emit('releasing', what, this.steps, { kind });
    };
  }
}

/** Recordings list no events inside the code of a lock, and none before an acquire. */
const LISTED: ReadonlySet<EventKind> = new Set<EventKind>([
  'afterAcquire',
  'beforeRelease',
  'afterWrite',
]);
export const isListed = ({ event }: CallEvent): boolean => LISTED.has(event);

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
 * The recorder ran Y at this event. Of the 512 entry locks that PROMOTE takes on the children, it
 * stepped through the first four and each 250th. `own` is the name of X's own entry.
 */
export function isTried({ event, what }: CallEvent, own: string): boolean {
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

/** The trace of a recorder that does not step inside: begins and ends of lock functions. */
export const withoutInside = (trace: CallTrace): CallTrace => ({
  ...trace,
  events: trace.events
    .filter(({ event }) => OUTSIDE.has(event))
    .map((event, i) => ({ ...event, index: i + 1 })),
});
