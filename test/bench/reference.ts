/**
 * The reference configuration: three actors, five operations each, two steps an operation, so that
 * every scenario has thirty steps. An operation reads one of four words and advances it, from FREE
 * to MAPPED to BLOCKED to FREE, by compare-and-exchange; a rule checks every write. The steps do
 * next to nothing, so the measurement compares the machinery around them.
 */
import fc from 'fast-check';
import { DeviationChoices } from '../../properties/checker/scenarios/deviations.ts';
import type {
  ActorProgram,
  Deviation,
  Scenario,
  Operation,
} from '../../properties/checker/scenarios/scenario.ts';
import { Machine, type Cell } from '../../spec/machine/machine.ts';
import { RuleBook, type Rule } from '../../spec/machine/monitor.ts';
import { run } from '../../spec/machine/run.ts';
import { READ, RMW, type Steps, access } from '../../spec/machine/step.ts';
import type { Target } from './target.ts';

export const ACTORS = 3;
export const OPERATIONS = 5;
export const STEPS_PER_OPERATION = 2;
const KEYS = 4;
/** FREE, MAPPED, BLOCKED. */
const STATES = 3;
const MAX_DEVIATIONS = 4;
const MAX_STEPS = 1_000;

const following = (state: number): number => (state + 1) % STATES;

const orderOfStates = (keys: Cell): Rule<Machine> => ({
  id: 'B01',
  level: 'required',
  statement: 'A word goes from FREE to MAPPED to BLOCKED to FREE.',
  source: 'test/bench/reference.ts',
  versions: ['*'],
  watch: (m, report) => {
    m.onWrite.push((cell, before, after) => {
      if (cell < keys || cell >= keys + KEYS) return;
      report.exercised();
      if (after !== following(before))
        report.violated(`state ${following(before)} after ${before}`, String(after));
    });
  },
});

/** The machine of the reference configuration, run by the same parts as every engine here. */
export function referenceTarget(): Target {
  const m = new Machine();
  const keys = m.segment('key', KEYS);
  m.seal();
  const book = new RuleBook(m, m, [orderOfStates(keys)]);
  const choices = new DeviationChoices(m);
  m.choices = choices;

  function* program(operations: readonly Operation[]): Steps<void> {
    for (let at = 0; at < operations.length; at++) {
      m.beginOp(at);
      const cell = keys + (operations[at]?.gfn ?? 0);
      yield access(cell, READ);
      const before = m.peek(cell);
      yield access(cell, RMW);
      if (m.peek(cell) === before) m.poke(cell, following(before));
    }
  }
  const prepare = ({ actors, deviations }: Scenario): void => {
    m.reset();
    choices.follow(deviations);
    for (let i = 0; i < actors.length; i++)
      m.spawn(NAMES[i] ?? '', program(actors[i]?.operations ?? []));
  };
  return {
    m,
    scheduled: new ReferenceArbitrary(true),
    programs: new ReferenceArbitrary(false),
    prepare,
    atRest: () => book.atRest(),
    run: (scenario) => {
      prepare(scenario);
      if (run(m, MAX_STEPS) === 'finished') book.atRest();
      return m.violation;
    },
  };
}

const NAMES = ['h0', 'h1', 'h2'];

/** Draws programs of exactly the reference's size, with a schedule or without. */
class ReferenceArbitrary extends fc.Arbitrary<Scenario> {
  private readonly hasSchedule: boolean;

  constructor(hasSchedule: boolean) {
    super();
    this.hasSchedule = hasSchedule;
  }

  override generate(random: fc.Random): fc.Value<Scenario> {
    const actors: ActorProgram[] = [];
    for (let i = 0; i < ACTORS; i++)
      actors.push({ role: 'host', operations: drawOperations(random) });
    const deviations: Deviation[] = [];
    const count = this.hasSchedule ? random.nextInt(0, MAX_DEVIATIONS) : 0;
    for (let i = 0; i < count; i++) deviations.push(drawDeviation(random));
    return new fc.Value({ vm: 'td', actors, deviations }, undefined);
  }

  override canShrinkWithoutContext(_value: unknown): _value is Scenario {
    return false;
  }

  override shrink(): fc.Stream<fc.Value<Scenario>> {
    return fc.Stream.nil();
  }
}

function drawOperations(random: fc.Random): Operation[] {
  const all: Operation[] = [];
  for (let i = 0; i < OPERATIONS; i++)
    all.push({ name: 'next', gfn: random.nextInt(0, KEYS - 1), pages: 1 });
  return all;
}

const drawDeviation = (random: fc.Random): Deviation => ({
  actor: random.nextInt(0, ACTORS - 1),
  operation: random.nextInt(0, OPERATIONS - 1),
  step: random.nextInt(0, STEPS_PER_OPERATION - 1),
  what: 'switch',
  value: random.nextInt(1, ACTORS - 1),
});
