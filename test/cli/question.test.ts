/** Output and exit codes of `sept question`. */
import { afterAll, expect, test } from 'vitest';
import { OutsideFolder } from './outside-folder.ts';
import { sept } from './run.ts';

const outside = new OutsideFolder();
afterAll(() => outside.remove());

test('sept question prints what the module answers to each policy, with its scenario', async () => {
  const { code, stdout } = await sept('question', '--runs', '20', '--levels', '4');
  const blocks = stdout.trimEnd().split('\n\n');

  expect(code).toBe(0);
  expect(blocks[0]).toBe('a branch with tables in it, module 1.5.05, levels 4');
  expect(blocks).toContainEqual(
    expect.stringMatching(
      new RegExp(
        '^rcu-branch-free: the top is blocked, and an RCU callback removes the rest\n' +
          ' {4}TDX_EPT_WALK_FAILED\\|RCX after \\d+ scenarios, 7 rows\n' +
          " {4}sept show rcu-branch-free --module 1.5.05 'levels 4 \\| .*remove-table 0@1G'$",
      ),
    ),
  );
  expect(blocks).toContainEqual(
    expect.stringMatching(/^prune-under-lock: .*\n {4}no rule is broken in \d+ scenarios$/),
  );
});

test('sept question ends with 1 if a policy breaks a rule that it does not declare', async () => {
  const file = outside.write(
    'blocks-nothing.ts',
    `import { defineModule, functionOf } from 'sept-conformance/impl';
    import { SUCCESS } from 'sept-conformance/spec';
    const block = functionOf('1.5.05', 'TDH.MEM.RANGE.BLOCK');
    export default defineModule('1.5.05', {
      name: 'blocks-nothing', functions: { ...block, *run() { return SUCCESS; } },
    });`,
  );
  const { code, stdout } = await sept('question', '--runs', '5', '--module', file, '--json');
  const { answers } = JSON.parse(stdout) as {
    answers: { policy: string; module: string; isExpected: boolean }[];
  };

  expect(code).toBe(1);
  expect(answers.find(({ policy }) => policy === 'exclusive')).toMatchObject({
    module: 'blocks-nothing',
    isExpected: false,
  });
});

test('sept question refuses a tree that no VM can have', async () => {
  const { code, stderr } = await sept('question', '--fanout', '5');

  expect({ code, stderr: stderr.trimEnd() }).toEqual({
    code: 2,
    stderr: expect.stringMatching(/argument '5' is invalid\. Give a whole number from 2 to 4\.$/),
  });
});
