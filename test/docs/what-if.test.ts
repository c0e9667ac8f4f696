/** docs/what-if.md has every run, and for some of them what a survey finds now. */
import { expect, test } from 'vitest';
import { rowOf, surveyRun, WHAT_IF_RUNS } from '../../properties/checker/surveys/what-if.ts';
import { textOf } from '../support/repository.ts';

const lines = textOf('docs/what-if.md').split('\n');

test('docs/what-if.md has a row for every run', () => {
  const rows = lines.filter((line) => /^\| `[a-z0-9-]+` \| (passes|fails|inconclusive)/.test(line));
  const names = rows.map((row) => row.split('`')[1]);

  expect(names).toEqual(WHAT_IF_RUNS.map(({ policy }) => policy.name));
});

/** Runs that end early: a policy, a module, and the levels of the tree. */
const CHEAP = [
  ['rcu-branch-free', 'fine-grained', 3],
  ['rcu-branch-free', 'fine-grained-visible', 4],
  ['rcu-branch-frozen-bottom-up', '1.5.05', 3],
  ['split-in-fault', 'uninterruptible-demote', 3],
] as const;

test.each(CHEAP)('the row of %s on module %s, %i levels, is found now', (name, module, levels) => {
  const run = WHAT_IF_RUNS.find(
    (one) => one.policy.name === name && one.module === module && one.tree.levels === levels,
  );
  if (run === undefined) throw new Error(`docs/what-if.md has no run of ${name} on ${module}`);

  expect(lines).toContain(rowOf(surveyRun(run)));
});
