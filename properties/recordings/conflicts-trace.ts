/**
 * The events of one call, as the recorder of pairs counted them, and at which step of ours each of them lies.
 *
 * An acquire is three events (before it, the lock word's write, after it), a watched write is one, a release is two
 * (before it, the lock word's write). A write is watched when it changes a watched word; see conflicts-names.ts.
 */
import type { Cell } from '../../spec/machine/machine.ts';
import { cellOf, kindOf, READ, RELEASE, RMW, TRY, WRITE, type Kind, type Steps } from '../../spec/machine/step.ts';
import type { Call } from '../../spec/tdx/call.ts';
import { SHARED, type LockListener, type Mode } from '../../spec/tdx/locks.ts';
import type { TdxModule } from '../../spec/tdx/module.ts';
import type { Names } from './conflicts-names.ts';

export type EventKind =
  | 'beforeAcquire' | 'acquiring' | 'afterAcquire' | 'refused' | 'afterWrite' | 'beforeRelease' | 'releasing';

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

/** Listens to what a step does to locks. */
export class LockWatch implements LockListener {
  last: { readonly what: 'taken' | 'refused' | 'released'; readonly cell: Cell; readonly mode: Mode } | null = null;
  promoted = false;
  /** Locks held now, with how often. */
  readonly held = new Map<Cell, number>();

  taken(cell: Cell, mode: Mode): void {
    this.promoted = this.last?.what === 'released' && this.last.cell === cell;
    this.last = { what: 'taken', cell, mode };
    this.held.set(cell, (this.held.get(cell) ?? 0) + 1);
  }

  refused(cell: Cell, mode: Mode): void {
    this.last = { what: 'refused', cell, mode };
  }

  released(cell: Cell, mode: Mode): void {
    this.last = { what: 'released', cell, mode };
    const count = (this.held.get(cell) ?? 0) - 1;
    if (count === 0) this.held.delete(cell);
    else this.held.set(cell, count);
  }
}

/** Runs `watch` while `action` runs. */
export function listening<T>(tdx: TdxModule, watch: LockWatch, action: () => T): T {
  tdx.locks.listeners.push(watch);
  try {
    return action();
  } finally {
    tdx.locks.listeners.splice(tdx.locks.listeners.indexOf(watch), 1);
  }
}

const OUTSIDE: ReadonlySet<EventKind> = new Set<EventKind>(['beforeAcquire', 'afterAcquire', 'beforeRelease']);

/** The trace as the recorder has it when it does not step inside: only where lock functions begin and end. */
export const withoutInside = (trace: Trace): Trace => ({
  ...trace,
  events: trace.events.filter(({ event }) => OUTSIDE.has(event)).map((event, i) => ({ ...event, index: i + 1 })),
});

/** Runs a call to its end, with nobody in between, and tells its events. */
export function traceCall(tdx: TdxModule, names: Names, steps: Steps<Call>): Trace {
  const watch = new LockWatch();
  return listening(tdx, watch, () => new Tracer(names, watch).run(steps));
}

class Tracer {
  private readonly names: Names;
  private readonly watch: LockWatch;
  private readonly events: TraceEvent[] = [];
  private index = 0;
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
      const cell = cellOf(next.value);
      const after = this.BEFORE[kindOf(next.value)]?.(cell) ?? null;
      next = steps.next();
      this.steps++;
      after?.();
    }
    const { events, acquired, lastAcquire } = this;
    return { events, call: next.value, acquired, lastAcquire };
  }

  /** By the kind of an announced step: what to do before it; the result is what to do after it. */
  private readonly BEFORE: Readonly<Record<Kind, ((cell: Cell) => () => void) | undefined>> = {
    [READ]: undefined,
    [WRITE]: (cell) => this.write(cell),
    [RMW]: (cell) => this.write(cell),
    [TRY]: (cell) => this.try(cell),
    4: undefined,
    [RELEASE]: (cell) => this.release(cell),
    6: undefined,
    7: undefined,
  };

  private tell(event: EventKind, what: string, more: Partial<TraceEvent> = {}): void {
    this.index++;
    this.events.push({ index: this.index, event, what, acquiring: -1, steps: this.steps, ...more });
  }

  private write(cell: Cell): () => void {
    const word = this.names.word(cell);
    if (word === null) return () => undefined;
    const old = word.raw();
    return () => {
      const now = word.raw();
      if (now !== old) this.tell('afterWrite', word.name, { old, new: now });
    };
  }

  private try(cell: Cell): () => void {
    const what = this.names.lock(cell);
    const before = this.index;
    this.tell('beforeAcquire', what);
    this.watch.last = null;
    return () => {
      const { last, promoted } = this.watch;
      if (last?.what !== 'taken') {
        this.tell('refused', what);
        return;
      }
      const kind = promoted ? 'PROMOTE' : last.mode === SHARED ? 'SHARED' : 'EXCLUSIVE';
      this.events[before] = { ...(this.events[before] as TraceEvent), kind }; // told above
      this.tell('acquiring', what, { kind, acquiring: cell });
      this.tell('afterAcquire', what, { kind });
      this.acquired++;
      this.lastAcquire = this.steps;
    };
  }

  private release(cell: Cell): () => void {
    const what = this.names.lock(cell);
    this.watch.last = null;
    const before = this.index;
    this.tell('beforeRelease', what);
    return () => {
      const kind = this.watch.last?.mode === SHARED ? 'SHARED' : 'EXCLUSIVE';
      this.events[before] = { ...(this.events[before] as TraceEvent), kind }; // told above
      this.tell('releasing', what, { kind });
    };
  }
}

/** The events that recordings list: not those inside a lock's own code, nor those before an acquire. */
const LISTED: ReadonlySet<EventKind> = new Set<EventKind>(['afterAcquire', 'beforeRelease', 'afterWrite']);

/** Of the 512 entry locks that PROMOTE takes on the children, the recorder stepped through the first four and each 250th. */
const CHILD_LOCK = /^SEPT_ENTRY\[page=.*,idx=(\d+)\]$/;
const isSampled = (child: number): boolean => child < 4 || child % 250 === 249;

/** Was this event tried by the recorder? `own` names X's own entry. */
export function isTried({ event, what }: TraceEvent, own: string): boolean {
  if (what === own || event === 'afterWrite' || event === 'beforeRelease' || event === 'releasing') return true;
  const child = CHILD_LOCK.exec(what)?.[1];
  return child === undefined || isSampled(Number(child));
}

export const isListed = (event: TraceEvent): boolean => LISTED.has(event.event);
