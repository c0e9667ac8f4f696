/** The scheduler: runs the actors of a machine, one announced step at a time. */
import { SWITCH } from './choices.ts';
import { DEADLOCK, ENDED_HOLDING, fault, LIVELOCK } from './faults.ts';
import type { Actor, Machine } from './machine.ts';
import { cellOf, kindOf, PAUSE } from './step.ts';

/** How a run ended. For every ending but `finished`, `machine.violation` holds the violation. */
export type Ending = 'finished' | 'violated' | 'deadlock' | 'livelock';

/**
 * Runs the machine's actors to the end under `machine.choices`.
 *
 * The running actor stays until it blocks, pauses or ends, unless a choice says otherwise; the next
 * one is the first enabled in a fixed rotation. Once all choices are ordinary, this is a fair
 * schedule of all actors that give spin hints when they spin, so that a run that does not end
 * within `maxSteps` is a livelock, not bad luck.
 */
export function run(m: Machine, maxSteps: number): Ending {
  const { actors } = m;
  announceFrom(m, 0);
  if (m.violation !== null) return 'violated';
  let running = 0;
  for (;;) {
    const chosen = pickActor(m, running);
    if (chosen < 0) return actors.every((a) => a.done) ? 'finished' : deadlock(m);
    if (m.now >= maxSteps) return livelock(m, maxSteps);
    running = chosen;
    const before = actors.length;
    perform(m, chosen);
    if (m.violation !== null) return 'violated';
    announceFrom(m, before);
  }
}

/** Performs the announced step of actor `index`, up to its next announcement. */
export function perform(m: Machine, index: number): void {
  const actor = m.actors[index] as Actor; // pickActor or the caller took the index from the list
  actor.ready = null;
  m.current = index;
  actor.taken++;
  resume(m, actor);
  m.now++;
  m.current = -1;
}

/** Runs the new actors, from index `first` on, up to their first announcements. */
export function announceFrom(m: Machine, first: number): void {
  for (let i = first; i < m.actors.length; i++) {
    m.current = i;
    resume(m, m.actors[i] as Actor); // i < m.actors.length
    m.current = -1;
  }
}

function resume(m: Machine, actor: Actor): void {
  const result = actor.steps.next();
  if (result.done === true) {
    actor.done = true;
    actor.next = -1;
    for (const thing of m.holdables) {
      if (!thing.holds(actor.index)) continue;
      fault(
        m,
        ENDED_HOLDING,
        `${actor.name} releases what it holds before it ends`,
        `it holds ${m.nameOf(thing.cell)}`,
      );
    }
    return;
  }
  if (result.value >>> 0 !== result.value) {
    throw new TypeError(
      `it yielded ${String(result.value)}, not a step: use \`yield*\` to run steps`,
    );
  }
  actor.next = result.value;
}

export const isEnabled = (actor: Actor): boolean =>
  !actor.done && (actor.ready === null || actor.ready(actor.index));

function deadlock(m: Machine): Ending {
  const waiting = m.actors.filter((a) => !a.done);
  fault(
    m,
    DEADLOCK,
    'some actor can take its next step',
    waiting.map((a) => describeWait(m, a)).join('; '),
  );
  return 'deadlock';
}

/** `vcpu0 waits for mmu_lock, held by vcpu1`. */
function describeWait(m: Machine, actor: Actor): string {
  const cell = cellOf(actor.next);
  const thing = m.holdables.find((h) => h.cell === cell);
  const holders = m.actors.filter((a) => thing?.holds(a.index) === true).map((a) => a.name);
  const held = holders.length === 0 ? '' : `, held by ${holders.join(' and ')}`;
  return `${actor.name} waits for ${m.nameOf(cell)}${held}`;
}

function livelock(m: Machine, maxSteps: number): Ending {
  const running = m.actors
    .filter((a) => !a.done)
    .map((a) => `${a.name} at ${m.nameOf(cellOf(a.next))}`);
  fault(
    m,
    LIVELOCK,
    `every actor ends within ${maxSteps} steps`,
    `still running: ${running.join('; ')}`,
  );
  return 'livelock';
}

/**
 * Index of the actor that steps next, or -1 when none is enabled. Candidates are listed in rotation
 * from the running one, which comes last instead of first when it has announced a spin hint; the
 * choice is an index into that list.
 */
function pickActor(m: Machine, running: number): number {
  const { actors } = m;
  const current = actors[running];
  if (current === undefined) return -1; // a machine without actors
  const goesOn = isEnabled(current) && !isPausing(current);
  if (goesOn && m.choices.stays?.(running, current.taken) === true) return running;
  const start = isPausing(current) ? running + 1 : running;
  const end = start + actors.length;
  let enabled = 0;
  let first = -1;
  for (let i = start; i < end; i++) {
    const actor = inRotation(actors, i);
    if (!isEnabled(actor)) continue;
    if (enabled++ === 0) first = actor.index;
  }
  if (enabled <= 1) return first;
  let skip = m.choices.pick(enabled, running, current.taken, SWITCH);
  if (skip === 0) return first;
  for (let i = start; i < end; i++) {
    const actor = inRotation(actors, i);
    if (isEnabled(actor) && skip-- === 0) return actor.index;
  }
  return first;
}

/** Actor `i` modulo the number of actors; `i` is less than twice that number. */
const inRotation = (actors: readonly Actor[], i: number): Actor =>
  actors[i < actors.length ? i : i - actors.length] as Actor; // in range either way

const isPausing = (actor: Actor): boolean => !actor.done && kindOf(actor.next) === PAUSE;
