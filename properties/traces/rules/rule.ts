/** Rules as traces are judged by them. What a rule says is said once, by the K rule of the same id. */
import type { EventName } from '../reader/event-table.ts';
import type { InvalidatedRange } from '../state/invalidated-range.ts';
import type { Notifiers } from '../state/notifiers.ts';
import type { PendingFlushes } from '../state/pending-flushes.ts';
import type { Task } from '../state/task.ts';
import type { Vm } from '../state/vm.ts';
import type { World } from '../state/world.ts';
import type { Tds } from '../tdx/follow.ts';

/** An earlier event that matters. */
export interface Cause {
  readonly line: number;
  readonly what: string;
}

/** Of a violation. */
export interface Where {
  readonly line: number;
  readonly task: Task;
  readonly vm: Vm | null;
  /** The event, where it is not the present one. */
  readonly text?: string;
  /** Events that would have shown that all is well: it is none if they are not in the trace at all. */
  readonly unless?: readonly EventName[];
}

/** What a rule calls. */
export interface TraceReporter {
  /** The premise of the rule held, in `vm`. */
  exercised(vm: Vm | null): void;
  violated(where: Where, seen: string, causes?: readonly Cause[]): void;
  /** The premise may have held; `why` it cannot be told whether the rule was kept. */
  unjudged(why: string): void;
}

/** State derived from events that several rules read. */
export interface DerivedState {
  readonly notifiers: Notifiers;
  readonly invalidated: ReadonlyMap<Vm, InvalidatedRange>;
  readonly flushes: PendingFlushes;
  readonly tds: Tds;
}

/** What tells of holds; with one of them missing, who holds a lock is not known. */
export const LOCK_PAIRS: readonly (readonly [EventName, EventName])[] = [
  ['rl', 'rl_ret'],
  ['rl_ret', 'rl'],
  ['rl_ret', 'ru'],
  ['ru', 'rl_ret'],
  ['wl', 'wl_ret'],
  ['wl_ret', 'wl'],
  ['wl_ret', 'wu'],
  ['wu', 'wl_ret'],
];

export interface TraceRule {
  /** Of the K rule that is judged. */
  readonly id: string;
  /** Events without which there is nothing to report. */
  readonly needs: readonly EventName[];
  /** Events of which one has to be there. */
  readonly needsOne?: readonly EventName[];
  /** Events of which there cannot be the first without the second. */
  readonly pairs?: readonly (readonly [EventName, EventName])[];
  watch(world: World, report: TraceReporter, state: DerivedState): void;
}
