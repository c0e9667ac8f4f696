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
import type { Conventions } from '../setups/conventions.ts';
import type { Testbed } from '../setups/testbed.ts';
import { observing, LockObserver, type LockEvent } from './lock-observer.ts';
import type { RecordedNames } from './recorded-names.ts';

export interface CallEvent {
  /** Counted from 1. */
  readonly index: number;
  /** As the recorder of the module's family names it. */
  readonly event: string;
  readonly what: string;
  /** Locks only: SHARED, EXCLUSIVE, or from the first to the second. */
  readonly kind?: string;
  /** Writes only: the word before and after. */
  readonly old?: bigint;
  readonly new?: bigint;
  /** The word is a time, of which only whether it is 0 means something. */
  readonly isTime?: boolean;
  /** The lock's cell while it is being acquired, else -1. */
  readonly acquiring: Cell;
  /** Number of the call's steps performed so far. */
  readonly steps: number;
}

export interface CallTrace {
  readonly events: readonly CallEvent[];
  /** The points before the call's compare-and-exchanges of entries; `old` is the entry there. */
  readonly exchanges: readonly CallEvent[];
  readonly call: Call;
  /** The step that acquired the last lock; the number of locks acquired, and held then. */
  readonly lastAcquire: number;
  readonly acquired: number;
  readonly held: number;
  /** Number of steps. */
  readonly steps: number;
}

/** Runs a call to its end, in one go, and returns its events. */
export function traceCall(
  { tdx, conventions }: Testbed,
  names: RecordedNames,
  steps: Steps<Call>,
): CallTrace {
  const observer = new LockObserver();
  return observing(tdx, observer, () => new CallTracer(names, conventions, observer).run(steps));
}

class CallTracer {
  private readonly names: RecordedNames;
  private readonly conventions: Conventions;
  private readonly observer: LockObserver;
  private readonly events: CallEvent[] = [];
  private readonly exchanges: CallEvent[] = [];
  /** A write that the recorder sees after the next one. */
  private late: Omit<CallEvent, 'index'> | null = null;
  private steps = 0;
  private acquired = 0;
  private holding = 0;
  private held = 0;
  private lastAcquire = 0;

  constructor(names: RecordedNames, conventions: Conventions, observer: LockObserver) {
    this.names = names;
    this.conventions = conventions;
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
    const { events, exchanges, acquired, held, lastAcquire, steps: count } = this;
    return { events, exchanges, call: next.value, acquired, held, lastAcquire, steps: count };
  }

  /** Looks at the cell that a step is about to touch. Returns how to emit the step's events. */
  private lookAt(announced: Access): (() => void) | null {
    const cell = cellOf(announced);
    if (!this.conventions.seesKeyTable && this.names.isKeyTable(cell)) return null;
    switch (kindOf(announced)) {
      case WRITE:
        return this.write(cell);
      case RMW:
        this.noteExchange(cell);
        return this.write(cell);
      case TRY:
        this.noteExchange(cell);
        return this.attempt(cell);
      case RELEASE:
        return this.release(cell);
      default:
        return null;
    }
  }

  private emit(event: string, what: string, steps: number, more: Partial<CallEvent> = {}): void {
    const late = this.late;
    this.late = null;
    if (late !== null && event !== 'afterWrite') this.push(late);
    this.push({ event, what, acquiring: -1, steps, ...more });
    if (late !== null && event === 'afterWrite') this.push({ ...late, steps });
  }

  private push(event: Omit<CallEvent, 'index'>): void {
    this.events.push({ index: this.events.length + 1, ...event });
  }

  private noteExchange(cell: Cell): void {
    const [word] = this.names.isEntry(cell) ? this.names.words(cell) : [];
    if (word === undefined) return;
    this.exchanges.push({
      index: this.exchanges.length + 1,
      event: 'beforeCompareExchange',
      what: word.name,
      old: word.raw(),
      acquiring: -1,
      steps: this.steps,
    });
  }

  private write(cell: Cell): (() => void) | null {
    const words = this.names.words(cell).map((word) => ({ word, old: word.raw() }));
    if (words.length === 0) return null;
    return () => {
      for (const { word, old } of words) {
        const now = word.raw();
        if (now === old) continue;
        const { name, isTime = false, isLate = false } = word;
        const values = { old, new: now, isTime };
        if (isLate)
          this.late = {
            event: 'afterWrite',
            what: name,
            acquiring: -1,
            steps: this.steps,
            ...values,
          };
        else this.emit('afterWrite', name, this.steps, values);
      }
    };
  }

  /** An attempt at a lock. That of a guest at an entry may be written down as a write. */
  private attempt(cell: Cell): () => void {
    const asWrite = this.conventions.guestLockIsWrite && this.names.isEntry(cell);
    const emit = asWrite ? this.write(cell) : null;
    const what = this.names.lock(cell);
    return () => {
      const last = this.observer.last as LockEvent | null; // the step has set it
      if (last?.what === 'taken') this.count(last.kind !== 'PROMOTE');
      if (asWrite) emit?.();
      else this.emitAttempt(cell, what, last);
    };
  }

  private emitAttempt(cell: Cell, what: string, last: LockEvent | null): void {
    const before = this.steps - 1;
    if (last?.what !== 'taken') {
      this.emit('beforeAcquire', what, before);
      this.emit('refused', what, this.steps);
      return;
    }
    const { events } = this.conventions;
    const kind = last.kind === 'PROMOTE' ? events.promoted : last.kind;
    this.emit('beforeAcquire', what, before, { kind });
    this.emit(events.acquiring, what, this.steps, { kind, acquiring: cell });
    this.emit('afterAcquire', what, this.steps, { kind });
  }

  private count(isNew: boolean): void {
    this.acquired++;
    if (isNew) this.holding++;
    this.held = this.holding;
    this.lastAcquire = this.steps;
  }

  private release(cell: Cell): () => void {
    const what = this.names.lock(cell);
    return () => {
      // the step has set it
      const kind = (this.observer.last as LockEvent | null)?.kind ?? 'EXCLUSIVE';
      this.holding--;
      this.emit('beforeRelease', what, this.steps - 1, { kind });
      this.emit(this.conventions.events.releasing, what, this.steps, { kind });
    };
  }
}

/** Recordings list no events inside the code of a lock, and none before an acquire. */
const LISTED: ReadonlySet<string> = new Set(['afterAcquire', 'beforeRelease', 'afterWrite']);
export const isListed = ({ event }: CallEvent): boolean => LISTED.has(event);

const ACQUIRES: ReadonlySet<string> = new Set([
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

/** The number of events from which on the recorder of 1.0 ran Y only at some. */
const LONG = 64;
const AT_EACH_END = 7;

/** The events at which that recorder ran Y: of a long call the first, some, and the last. */
export function sparsely(events: readonly CallEvent[]): readonly CallEvent[] {
  const { length } = events;
  if (length < LONG) return events;
  const some = new Set([Math.floor(length / 4), Math.floor(length / 2)]);
  return events.filter(
    ({ index }) => index <= AT_EACH_END || index > length - AT_EACH_END || some.has(index),
  );
}

/** The compare-and-exchanges before which it ran Y, if there are more than a few. */
const EXCHANGES: ReadonlySet<number> = new Set([1, 2, 3, 100, 300]);
const LAST_EXCHANGES = 2;

/** Whether that recorder ran Y before compare-and-exchange number `index` of `count`. */
export const isTriedExchange = (index: number, count: number): boolean =>
  EXCHANGES.has(index) || index > count - LAST_EXCHANGES;

/** The steps of a call after which to run another; of a long call those at its ends and events. */
export function pointsOf(trace: CallTrace | null): readonly number[] {
  const { steps = 0, events = [] } = trace ?? {};
  const isNear = (step: number): boolean => step < LONG || step > steps - LONG;
  const all = Array.from({ length: steps + 1 }, (_, step) => step).filter(isNear);
  return [...new Set([...all, ...events.map((event) => event.steps)])];
}

const OUTSIDE: ReadonlySet<string> = new Set(['beforeAcquire', 'afterAcquire', 'beforeRelease']);

/** The trace of a recorder that does not step inside: begins and ends of lock functions. */
export const withoutInside = (trace: CallTrace): CallTrace => ({
  ...trace,
  events: trace.events
    .filter(({ event }) => OUTSIDE.has(event))
    .map((event, i) => ({ ...event, index: i + 1 })),
});
