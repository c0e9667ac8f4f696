/**
 * Candidates for shrinking a scenario: without an actor, an operation or a deviation; with the
 * actors in the order in which they start; with one page for many; with two pages merged; with an
 * earlier deviation. Program and schedule shrink together: a deviation is dropped with its
 * operation.
 */
import {
  atLevel,
  type ActorProgram,
  type Deviation,
  type Scenario,
  type Operation,
} from './scenario.ts';

/** Smaller scenarios, the smallest first. None is equal to `scenario`. */
export function* smaller(scenario: Scenario): Generator<Scenario> {
  const { actors, deviations } = scenario;
  for (let i = 0; actors.length > 1 && i < actors.length; i++) {
    const fewer = withoutActor(scenario, i);
    yield fewer;
    if (fewer.deviations.some((d) => d.value > 1)) yield withNearerTargets(fewer);
  }
  for (let i = 0; i < actors.length; i++) {
    for (let j = 0; j < operationsOf(actors[i]).length; j++) yield withoutOperation(scenario, i, j);
  }
  for (let i = 0; i < deviations.length; i++)
    yield { ...scenario, deviations: deviations.filter((_, k) => k !== i) };
  yield* inOrderOfStart(scenario);
  yield* withoutPairs(scenario);
  yield* simplerOperations(scenario);
  yield* mergedPages(scenario);
  yield* earlierDeviations(scenario);
}

const operationsOf = (actor: ActorProgram | undefined): readonly Operation[] =>
  actor?.operations ?? [];

function withoutActor(scenario: Scenario, gone: number): Scenario {
  const { actors, deviations } = scenario;
  return {
    ...scenario,
    actors: actors.filter((_, i) => i !== gone),
    deviations: deviations
      .filter((d) => d.actor !== gone)
      .map((d) => (d.actor > gone ? { ...d, actor: d.actor - 1 } : d)),
  };
}

/** With one actor fewer to skip, the target of a switch is one nearer. */
const withNearerTargets = (scenario: Scenario): Scenario => ({
  ...scenario,
  deviations: scenario.deviations.map((d) => (d.value > 1 ? { ...d, value: d.value - 1 } : d)),
});

function withoutOperation(scenario: Scenario, actor: number, gone: number): Scenario {
  const { actors, deviations } = scenario;
  return {
    ...scenario,
    actors: actors.map((a, i) =>
      i === actor ? { ...a, operations: a.operations.filter((_, j) => j !== gone) } : a,
    ),
    deviations: deviations
      .filter((d) => d.actor !== actor || d.operation !== gone)
      .map((d) =>
        d.actor === actor && d.operation > gone ? { ...d, operation: d.operation - 1 } : d,
      ),
  };
}

/** Puts the actor that begins first, so that it needs no deviation. */
function* inOrderOfStart(scenario: Scenario): Generator<Scenario> {
  const { actors, deviations } = scenario;
  const early = deviations.find(
    (d) => d.what === 'switch' && d.actor === 0 && d.operation === 0 && d.step === 0,
  );
  const first = actors[early?.value ?? 0];
  if (early === undefined || first === undefined) return;
  const order = [first, ...actors.filter((actor) => actor !== first)];
  yield {
    ...scenario,
    actors: order,
    deviations: deviations
      .filter((d) => d !== early)
      .map((d) => ({
        ...d,
        actor: d.actor < actors.length ? order.indexOf(actors[d.actor] ?? first) : d.actor,
      })),
  };
}

/** Drops two operations, as some only matter together (map and unmap). */
function* withoutPairs(scenario: Scenario): Generator<Scenario> {
  const places = scenario.actors.flatMap((a, i) => a.operations.map((_, j) => [i, j] as const));
  for (let x = 0; x < places.length; x++) {
    for (let y = x + 1; y < places.length; y++) {
      const [actorX, opX] = places[x] ?? [0, 0];
      const [actorY, opY] = places[y] ?? [0, 0];
      yield withoutOperation(withoutOperation(scenario, actorY, opY), actorX, opX);
    }
  }
}

function replaceOperation(scenario: Scenario, actor: number, at: number, by: Operation): Scenario {
  return {
    ...scenario,
    actors: scenario.actors.map((a, i) =>
      i === actor ? { ...a, operations: a.operations.map((o, j) => (j === at ? by : o)) } : a,
    ),
  };
}

function* simplerOperations(scenario: Scenario): Generator<Scenario> {
  for (const [i, actor] of scenario.actors.entries()) {
    for (const [j, operation] of actor.operations.entries()) {
      if (operation.level !== undefined)
        yield replaceOperation(scenario, i, j, atLevel(operation, operation.level - 1));
      if (operation.pages > 1) yield replaceOperation(scenario, i, j, { ...operation, pages: 1 });
      if (operation.gfn > 0) yield replaceOperation(scenario, i, j, { ...operation, gfn: 0 });
      if (operation.gfn > 1)
        yield replaceOperation(scenario, i, j, { ...operation, gfn: operation.gfn >> 1 });
    }
  }
}

/** Replaces all uses of one page by uses of a lower one. */
function* mergedPages(scenario: Scenario): Generator<Scenario> {
  const used = new Set(scenario.actors.flatMap((a) => a.operations.map((o) => o.gfn)));
  const pages = [...used].toSorted((a, b) => a - b);
  for (const from of pages.slice(1)) {
    for (const to of [0, ...pages.filter((p) => p < from)]) {
      yield {
        ...scenario,
        actors: scenario.actors.map((a) => ({
          ...a,
          operations: a.operations.map((o) => (o.gfn === from ? { ...o, gfn: to } : o)),
        })),
      };
    }
  }
}

function* earlierDeviations(scenario: Scenario): Generator<Scenario> {
  const { deviations } = scenario;
  for (const [i, d] of deviations.entries()) {
    const steps = [0, d.step >> 1, d.step - (d.step >> 2), d.step - 1].filter(
      (step) => step >= 0 && step < d.step,
    );
    for (const step of new Set(steps))
      yield { ...scenario, deviations: replaceAt(deviations, i, { ...d, step }) };
    if (d.value > 1)
      yield { ...scenario, deviations: replaceAt(deviations, i, { ...d, value: 1 }) };
  }
}

const replaceAt = (list: readonly Deviation[], at: number, by: Deviation): Deviation[] =>
  list.map((d, i) => (i === at ? by : d));
