/** The answers about branches with tables in them: those of docs/counterexamples.md. */
import { expect, test } from 'vitest';
import { defineModule, functionOf } from '../../../impl/index.ts';
import { DEFAULT_TREE } from '../../../impl/vm/size.ts';
import { parseScenario } from '../../../properties/checker/scenarios/text.ts';
import {
  askAboutBranch,
  branchRow,
  BRANCH_TREES,
  removesBranch,
} from '../../../properties/checker/surveys/branches.ts';
import { SEEDS } from '../../../properties/checker/surveys/survey.ts';
import { SUCCESS } from '../../../spec/tdx/status.ts';
import { NEWEST_VERSIONS } from '../../../spec/tdx/versions/index.ts';
import { textOf } from '../../support/repository.ts';

const SURE = ['exclusive', 'prune-under-lock', 'frozen-mirror'];

test.each(NEWEST_VERSIONS.flatMap((module) => BRANCH_TREES.map((tree) => ({ module, tree }))))(
  'only removal bottom-up under mmu_lock passes, on $module and $tree.levels levels',
  ({ module, tree }) => {
    const answers = askAboutBranch({ module, tree, seeds: 3, runs: 50 });

    expect(answers.filter(({ isExpected }) => !isExpected)).toEqual([]);
    expect(answers.filter(({ found }) => found === null).map(({ policy }) => policy)).toEqual(SURE);
    for (const { found } of answers) {
      if (found === null) continue;
      expect(removesBranch(parseScenario(found.scenario)), found.scenario).toBe(true);
      expect(found.seen).toMatch(/^TDX_EPT_/);
      expect(found.rows).toBeLessThanOrEqual(8);
    }
  },
);

test('the document has the answers of the default tree', () => {
  const document = textOf('docs/counterexamples.md').split('\n');
  const [module] = NEWEST_VERSIONS;
  if (module === undefined) throw new Error('there is no version');
  const answers = askAboutBranch({ module, tree: DEFAULT_TREE, seeds: SEEDS, runs: 1 });

  for (const answer of answers.filter(({ found }) => found !== null))
    expect(document).toContain(branchRow(answer));
});

test('a policy that answers differently on a module is not as expected', () => {
  const name = 'TDH.MEM.RANGE.BLOCK';
  const idle = defineModule('1.5.05', {
    name: 'blocks-nothing',
    functions: {
      ...functionOf('1.5.05', name),
      *run() {
        return SUCCESS;
      },
    },
  });
  const answers = askAboutBranch({ module: idle, tree: DEFAULT_TREE, seeds: 1, runs: 20 });

  expect(answers.filter(({ isExpected }) => !isExpected).map(({ policy }) => policy)).toEqual(SURE);
});
