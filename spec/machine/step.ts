/**
 * A step is the machine's unit of atomicity. An actor is a synchronous generator that _announces_
 * its next step, by yielding the cell that the step will access and how, and performs it when it is
 * resumed. So the scheduler always knows every actor's next access: blocking, deadlock detection
 * and partial-order reduction all follow from that one fact.
 */

/** How an announced step accesses its cell. */
export const READ = 0;
export const WRITE = 1;
/** Atomic read-modify-write: cmpxchg, xchg, atomic add, bit test-and-set. */
export const RMW = 2;
/** An attempt to take a lock that never waits. */
export const TRY = 3;
/** Takes a lock, and waits for it: the actor is not enabled until the lock can be taken. */
export const ACQUIRE = 4;
export const RELEASE = 5;
/** Waits for a condition (an ack, a grace period): not enabled until it holds. */
export const WAIT = 6;
/** A spin hint: the actor makes no progress by itself, so the scheduler prefers the others. */
export const PAUSE = 7;

/** Kinds of access: READ to PAUSE. */
export type Kind = 0 | 1 | 2 | 3 | 4 | 5 | 6 | 7;

export const KIND_NAMES = [
  'read',
  'write',
  'rmw',
  'try',
  'acquire',
  'release',
  'wait',
  'pause',
] as const;

/** An announced step, packed: `cell * 8 + kind`. */
export type Access = number;

/** Announces an access of a cell. */
export const access = (cell: number, kind: Kind): Access => cell * 8 + kind;
/** Kind of an announced access. */
export const kindOf = (announced: Access): Kind => (announced & 7) as Kind; // all are kinds
/** Cell of an announced access. */
export const cellOf = (announced: Access): number => announced >>> 3;

/** Whether two announced steps commute: they access different cells, or only read the same one. */
export const independent = (a: Access, b: Access): boolean =>
  cellOf(a) !== cellOf(b) || (kindOf(a) === READ && kindOf(b) === READ);

/** Code that runs step by step and returns a `T`. */
export type Steps<T> = Generator<Access, T, void>;

/** Runs `steps` to the end without interleaving, as one atomic operation. */
export function atomically<T>(steps: Steps<T>): T {
  for (;;) {
    const next = steps.next();
    if (next.done === true) return next.value;
  }
}
