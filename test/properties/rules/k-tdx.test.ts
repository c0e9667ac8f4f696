/** Policies that break rules about TDs which no known bug breaks, or breaks in one way only. */
import { expect, test } from 'vitest';
import { enterOnce } from '../../../impl/blocks/entry.ts';
import { demoteUnder, promoteUnder } from '../../../impl/blocks/huge-pages.ts';
import { MERGE, SPLIT, type Resize } from '../../../impl/blocks/resize.ts';
import { exclusive, frozenMirror } from '../../../impl/index.ts';
import type { Policy } from '../../../impl/vm/policy.ts';
import { check } from '../../../properties/checker/check.ts';
import { CORPUS } from '../../../properties/checker/scenarios/corpus.ts';
import { EMPTY, FROZEN } from '../../../spec/kvm/spte.ts';
import { FAULTY_TDS } from './faulty-tds.ts';

const BUDGET = 20_000;

test.each(FAULTY_TDS)('%s catches a policy that %s', (rule, _fault, policy) => {
  const { counterexamples } = check({
    policy,
    module: '1.5',
    seed: 1,
    runs: BUDGET,
    corpus: CORPUS,
    only: [rule],
    stopAfter: 1,
  });

  expect(counterexamples.map(({ violation }) => violation.rule)).toEqual([rule]);
});

test('a policy that enters the TD as upstream does breaks neither K57 nor K59', () => {
  const policy: Policy = {
    ...frozenMirror,
    *enter(vm, vcpu) {
      return yield* enterOnce(vm, vcpu);
    },
  };

  expect(
    check({ policy, module: '1.5', seed: 1, runs: 300, only: ['K57', 'K59'] }).counterexamples,
  ).toEqual([]);
});

/** Keeps the mirror entry FROZEN while it is resized, as a vendor's hook may (P11). */
const whileFrozen = (how: Resize): Resize => {
  let was = EMPTY;
  return {
    ...how,
    *block(vm, gfn) {
      const { table, index } = yield* vm.mirror.walk(gfn, 1);
      was = yield* vm.mirror.write(table, index, FROZEN);
      yield* how.block(vm, gfn);
    },
    *unblock(vm, gfn) {
      yield* how.unblock(vm, gfn);
      const { table, index } = yield* vm.mirror.walk(gfn, 1);
      yield* vm.mirror.write(table, index, was);
    },
  };
};

test('an entry that is FROZEN while it is resized does not break K47 or K48', () => {
  const policy: Policy = {
    ...exclusive,
    *promote(vm, gfn) {
      yield* promoteUnder(vm, gfn, whileFrozen(MERGE));
    },
    *demote(vm, gfn) {
      yield* demoteUnder(vm, gfn, whileFrozen(SPLIT));
    },
  };

  const { counterexamples, exercised } = check({
    policy,
    module: '1.5',
    seed: 1,
    runs: 1000,
    corpus: CORPUS,
  });
  expect(counterexamples.map(({ report }) => report.text)).toEqual([]);
  expect(exercised['K65']).toBeGreaterThan(0);
});
