/**
 * The reference configuration of the comparison: three actors, five operations each, two steps an operation, so every
 * history has thirty steps. An operation reads one of four words and moves it on (FREE, MAPPED, BLOCKED, FREE) by
 * compare-and-exchange; a rule looks at every write, and all shipped rules are on. The steps do next to nothing, so
 * that what is compared is the machinery around them.
 */
import fc from 'fast-check';
import type { Cell } from '../../spec/machine/machine.ts';
import type { Rule } from '../../spec/machine/monitor.ts';
import { exclusive } from '../../impl/exclusive.ts';
import type { Policy } from '../../impl/policy.ts';
import type { Vm } from '../../impl/vm.ts';
import type { ActorProgram, Deviation, History, Operation } from '../../properties/history.ts';

export const ACTORS = 3;
export const OPERATIONS = 5;
export const STEPS_PER_OPERATION = 2;
const KEYS = 4;
/** Three states, one after the other: FREE, MAPPED, BLOCKED. */
const STATES = 3;
const MAX_DEVIATIONS = 4;

/** The words lie in the last page, which neither the kernel nor the guest of this policy uses. */
const keyCell = (vm: Vm, key: number): Cell => vm.memory.word(vm.memory.pages - 1, key);

const following = (state: number): number => (state + 1) % STATES;

/** Its one operation goes by the name of an operation that reaches the policy directly. */
const OPERATION = 'promote';

export const REFERENCE_POLICY: Policy = {
  ...exclusive,
  name: 'reference',
  title: 'moves words on by compare-and-exchange',
  proposed: 'the model of the measurements that this project began with',
  *promote(vm, key) {
    const cell = keyCell(vm, key);
    const before = yield* vm.m.read(cell);
    yield* vm.m.cmpxchg(cell, before, following(before));
  },
};

export const REFERENCE_RULE: Rule<Vm> = {
  id: 'B01',
  level: 'required',
  statement: 'A word goes from FREE to MAPPED to BLOCKED to FREE.',
  source: 'this file',
  versions: ['*'],
  watch: (vm, judge) => {
    const first = keyCell(vm, 0);
    vm.m.onWrite.push((cell, before, after) => {
      if (cell < first || cell >= first + KEYS) return;
      judge.exercised();
      if (after !== following(before)) judge.violated(`state ${following(before)} after ${before}`, String(after));
    });
  },
};

/** Programs of exactly the reference's size; `scheduled` says whether the history carries a schedule, too. */
export class ReferenceArbitrary extends fc.Arbitrary<History> {
  private readonly scheduled: boolean;

  constructor(scheduled: boolean) {
    super();
    this.scheduled = scheduled;
  }

  override generate(random: fc.Random): fc.Value<History> {
    const actors: ActorProgram[] = [];
    for (let i = 0; i < ACTORS; i++) actors.push({ role: 'host', operations: operations(random) });
    const deviations: Deviation[] = [];
    const count = this.scheduled ? random.nextInt(0, MAX_DEVIATIONS) : 0;
    for (let i = 0; i < count; i++) deviations.push(deviation(random));
    return new fc.Value({ actors, deviations }, undefined);
  }

  override canShrinkWithoutContext(_value: unknown): _value is History {
    return false;
  }

  override shrink(): fc.Stream<fc.Value<History>> {
    return fc.Stream.nil();
  }
}

function operations(random: fc.Random): Operation[] {
  const all: Operation[] = [];
  for (let i = 0; i < OPERATIONS; i++) all.push({ name: OPERATION, gfn: random.nextInt(0, KEYS - 1), pages: 1 });
  return all;
}

const deviation = (random: fc.Random): Deviation => ({
  actor: random.nextInt(0, ACTORS - 1),
  operation: random.nextInt(0, OPERATIONS - 1),
  step: random.nextInt(0, STEPS_PER_OPERATION - 1),
  what: 'switch',
  value: random.nextInt(1, ACTORS - 1),
});
