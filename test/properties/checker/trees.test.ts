/** Policies on trees of page tables that are deeper or wider than the default. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { demotePage } from '../../../impl/blocks/resize.ts';
import {
  exclusive,
  frozenMirror,
  POLICIES,
  releaseTd,
  unmapUnder,
  zapLeaves,
} from '../../../impl/index.ts';
import type { Policy } from '../../../impl/vm/policy.ts';
import { sizesOf, treeOf, UnusableTree, type Tree } from '../../../impl/vm/size.ts';
import { check } from '../../../properties/checker/check.ts';
import { checkForeign } from '../../../properties/checker/determinism.ts';
import { Engine } from '../../../properties/checker/engine.ts';
import { UnusableScenario } from '../../../properties/checker/run-errors.ts';
import { ScenarioArbitrary } from '../../../properties/checker/scenarios/arbitrary.ts';
import { CORPUS } from '../../../properties/checker/scenarios/corpus.ts';
import { parseScenario } from '../../../properties/checker/scenarios/text.ts';
import { shapesOf } from '../../../properties/checker/shapes.ts';
import { Emitter } from '../../../properties/traces/emit/emit.ts';
import { judgeTrace } from '../../../properties/traces/judge.ts';
import { listsVersion } from '../../../spec/tdx/versions/index.ts';

const module = '1.5';
const TREES: readonly Tree[] = [
  { levels: 4, fanout: 2 },
  { levels: 3, fanout: 4 },
  { levels: 5, fanout: 2 },
  { levels: 3, fanout: 3 },
];
const RUNS_OF_GOOD = 30;
const RUNS_OF_FAULTY = 500;

/** Rules that a policy says it breaks on `module`. */
const expectedOf = ({ breaks }: Policy): string[] => [
  ...new Set(
    breaks.filter(({ versions = ['*'] }) => listsVersion(versions, module)).map(({ rule }) => rule),
  ),
];

describe.each(TREES)('levels $levels, fanout $fanout', (tree) => {
  test.each(POLICIES.map((policy) => [policy.name, policy] as const))(
    '%s gets the verdict that it claims',
    (_, policy) => {
      const expected = expectedOf(policy);
      const isGood = expected.length === 0;
      const { counterexamples } = check({
        policy,
        module,
        tree,
        seed: 1,
        runs: isGood ? RUNS_OF_GOOD : RUNS_OF_FAULTY,
        corpus: CORPUS,
        ...(isGood ? {} : { only: expected, stopAfter: expected.length }),
      });

      expect(counterexamples.map(({ violation }) => violation.rule).toSorted()).toEqual(
        expected.toSorted(),
      );
    },
  );
});

/** frozen-mirror, for whose author every guest has eight pages. */
const EIGHT_PAGES: Policy = {
  ...frozenMirror,
  name: 'eight-pages',
  *destroy(vm) {
    yield* unmapUnder(vm, 0, 8, () => zapLeaves(vm, 0, 8, demotePage));
    yield* releaseTd(vm);
  },
};

test('a policy that takes the default sizes for granted passes on them and on no other', () => {
  const verdictOn = (tree?: Tree): string =>
    check({ policy: EIGHT_PAGES, module, seed: 1, runs: 100, ...(tree ? { tree } : {}) }).verdict;

  expect(verdictOn()).not.toBe('fails');
  expect(TREES.map(verdictOn)).toEqual(TREES.map(() => 'fails'));
});

test('a counterexample names its tree, and so does the command that replays it', () => {
  const [tree] = TREES;
  const [found] = check({
    policy: EIGHT_PAGES,
    module,
    seed: 1,
    runs: 100,
    ...(tree ? { tree } : {}),
    stopAfter: 1,
  }).counterexamples;

  expect(found?.text).toMatch(/^levels 4 \| /);
  expect(found?.report.text.replaceAll(/\s+/g, ' ')).toContain(
    `sept show eight-pages --module 1.5 '${found?.text}'`,
  );
  const engine = new Engine({ policy: EIGHT_PAGES, module, ...(tree ? { tree } : {}) });
  expect(engine.run(parseScenario(found?.text ?? ''))?.rule).toBe(found?.violation.rule);
});

test('a policy from outside is checked for determinism on the tree of the check', () => {
  const { longest, verdict } = checkForeign({
    policy: frozenMirror,
    module,
    tree: { levels: 4, fanout: 3 },
    seed: 1,
    runs: 20,
  });

  expect([longest.tree, verdict]).not.toContain('fails');
  expect(longest.tree).toEqual({ levels: 4, fanout: 3 });
});

test('an engine refuses what its VM does not have', () => {
  const engine = new Engine({ policy: exclusive, module, tree: { levels: 4, fanout: 2 } });
  const answerTo = (text: string): string => {
    try {
      return engine.run(parseScenario(text))?.rule ?? 'no rule is broken';
    } catch (error) {
      if (error instanceof UnusableScenario) return error.message;
      throw error;
    }
  };

  expect(answerTo('levels 4 | v0: touch 13 | h0: remove-table 0@512G')).toBe('no rule is broken');
  expect(answerTo('v0: touch 0')).toBe(
    'the scenario is for the default tree, and the VM has levels 4',
  );
  expect(answerTo('levels 4 | v0: touch 16')).toBe('touch 16: the GFNs of the guest end at 15');
  expect(answerTo('levels 4 | h0: remove-table 0@256T')).toBe(
    'remove-table 0@256T: the tree has 4 levels, and no entry so high',
  );
  expect(answerTo('levels 4 | h0: remove-table 12@1G')).toBe(
    'remove-table 12@1G: it concerns GFN 14 and above, which scenarios do not use',
  );
});

test.each([
  [{ levels: 2 }, 'levels is 2; give a whole number from 3 to 5'],
  [{ levels: 6 }, 'levels is 6; give a whole number from 3 to 5'],
  [{ fanout: 1 }, 'fanout is 1; give a whole number from 2 to 4'],
  [{ fanout: 2.5 }, 'fanout is 2.5; give a whole number from 2 to 4'],
])('the tree %o is refused in one line', (own, message) => {
  expect(() => treeOf(own)).toThrow(new UnusableTree(message));
  const tree = { levels: 3, fanout: 2, ...own };
  expect(() => check({ policy: exclusive, module, tree, seed: 1, runs: 1 })).toThrow(message);
});

test('random scenarios of a tree use GFNs and entries that it has', () => {
  for (const tree of TREES) {
    const { rootLevel, usedPages } = sizesOf(tree);
    const scenarios = fc.sample(new ScenarioArbitrary(...shapesOf(exclusive, tree)), {
      seed: 1,
      numRuns: 2000,
    });
    const operations = scenarios.flatMap(({ actors }) => actors.flatMap((a) => a.operations));
    const levels = new Set(operations.map(({ level = 1 }) => level));

    expect(scenarios.every((scenario) => scenario.tree === tree)).toBe(true);
    expect(Math.max(...operations.map(({ gfn }) => gfn))).toBe(tree.fanout ** rootLevel);
    expect(Math.max(...operations.map(({ gfn }) => gfn))).toBeLessThan(usedPages);
    expect([...levels].toSorted()).toEqual(Array.from({ length: rootLevel }, (_, i) => i + 1));
  }
});

test('a run on any tree is emitted as a trace that judgeTrace accepts', () => {
  for (const tree of TREES) {
    for (const policy of POLICIES.filter(({ breaks }) => breaks.length === 0)) {
      const emitter = new Emitter({ policy, module, rules: false });
      for (const scenario of fc.sample(new ScenarioArbitrary(...shapesOf(policy, tree)), {
        seed: 3,
        numRuns: 2,
      }))
        expect(judgeTrace(emitter.emit(scenario).lines).violations).toEqual([]);
    }
  }
});
