/** What all commands share: the version, and names of policies that do not exist. */
import { expect, test } from 'vitest';
import { MUTANTS } from '../../impl/mutants/index.ts';
import { textOf } from '../support/repository.ts';
import { sept } from './run.ts';

test('sept --version prints the version of package.json', async () => {
  const { version } = JSON.parse(textOf('package.json')) as { version: string }; // npm needs it

  expect(await sept('--version')).toEqual({ code: 0, stdout: `${version}\n`, stderr: '' });
});

test.each(['frozn-mirror', 'frozen-mirorr', 'frozen-mirror2'])(
  'sept check suggests frozen-mirror for %s',
  async (name) => {
    expect(await sept('check', name)).toEqual({
      code: 2,
      stdout: '',
      stderr: `sept: there is no policy and no file "${name}"; did you mean frozen-mirror?\n`,
    });
  },
);

test('sept check names the policies and the known bugs for a name that is near none', async () => {
  const { code, stderr } = await sept('check', 'b-00');

  expect(code).toBe(2);
  expect(stderr).toMatch(
    /^sept: there is no policy and no file "b-00"; the policies are exclusive, frozen-mirror, /,
  );
  expect(stderr.split('; ').at(-1)).toBe(
    `known bugs: b-01 … b-88 (${MUTANTS.length}), see docs/mutants.md\n`,
  );
});
