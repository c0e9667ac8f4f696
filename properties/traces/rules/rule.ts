/** Monitors of traces. The K rule of the same id, in spec/kvm or properties/rules, has the text. */
import type { EventName } from '../reader/event-table.ts';
import type { InvalidatedRange } from '../state/invalidated-range.ts';
import type { Notifiers } from '../state/notifiers.ts';
import type { PendingFlushes } from '../state/pending-flushes.ts';
import type { Task } from '../state/task.ts';
import type { Vm } from '../state/vm.ts';
import type { World } from '../state/world.ts';
import type { Tds } from '../tdx/follow.ts';

/** An earlier event that explains a violation. */
export interface Cause {
  readonly line: number;
  readonly what: string;
}

/** Place of a violation in a trace. */
export interface Where {
  readonly line: number;
  readonly task: Task;
  readonly vm: Vm | null;
  /** Text of the event, if it is not the present event. */
  readonly text?: string;
  /**
   * Events that could have justified what was seen. If the trace has no event of one of these kinds
   * at all, the violation is dropped, and the rule is reported as not judged.
   */
  readonly unless?: readonly EventName[];
}

/** Callbacks of a monitor. */
export interface TraceReporter {
  /** The rule's precondition held in `vm`. */
  exercised(vm: Vm | null): void;
  violated(where: Where, seen: string, causes?: readonly Cause[]): void;
  /** The precondition may have held, and the trace does not show whether the rule was obeyed. */
  notJudged(why: string): void;
}

/** State derived from events that several rules read. */
export interface DerivedState {
  readonly notifiers: Notifiers;
  readonly invalidated: ReadonlyMap<Vm, InvalidatedRange>;
  readonly flushes: PendingFlushes;
  readonly tds: Tds;
}

/** Lock events are recorded in pairs; without either half, lock ownership is unknown. */
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

/** One monitor of a rule. A rule may have several, each with the events that it needs. */
export interface TraceRule {
  /** Id of the K rule. */
  readonly id: string;
  /** Kinds of events without which the monitor reports nothing. */
  readonly needs: readonly EventName[];
  /** Kinds of events of which the trace must have at least one. */
  readonly needsOne?: readonly EventName[];
  /** Kinds of events that belong together: a trace that has the first must have the second. */
  readonly pairs?: readonly (readonly [EventName, EventName])[];
  watch(world: World, report: TraceReporter, state: DerivedState): void;
}
