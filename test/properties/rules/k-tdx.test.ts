/**
 * Rules about TDs that no known bug breaks, or that a bug breaks in one way only: each can be
 * broken, and is seen to be.
 */
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

test.each(FAULTY_TDS)('%s: a policy that %s is caught', (rule, _fault, policy) => {
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

test('entering as upstream does breaks none of them', () => {
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

/**
 * Keeps the mirror entry FROZEN while it is resized, as a vendor's hook may (P11), and puts it back
 * where that fails.
 */
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

test('what is FROZEN while it is resized under mmu_lock has not left the mirror (K47, K48)', () => {
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
