/** What all commands share: the version, and names of policies that do not exist. */
import { expect, test } from 'vitest';
import { POLICIES } from '../../impl/index.ts';
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

test('sept check says where policies are listed, for a name that is near none', async () => {
  expect(await sept('check', 'b-00')).toEqual({
    code: 2,
    stdout: '',
    stderr:
      'sept: there is no policy and no file "b-00"; ' +
      '`sept policies` lists the policies and the known bugs\n',
  });
});

test('sept policies lists every policy and every known bug', async () => {
  const { code, stdout } = await sept('policies');
  const { stdout: json } = await sept('policies', '--json');

  expect(code).toBe(0);
  for (const { name } of POLICIES) expect(stdout).toMatch(new RegExp(`^${name} `, 'm'));
  for (const { policy } of MUTANTS) expect(stdout).toMatch(new RegExp(`^${policy.name} `, 'm'));
  expect(JSON.parse(json)).toMatchObject({
    policies: POLICIES.map(({ name }) => ({ name })),
    bugs: MUTANTS.map(({ policy }) => ({ name: policy.name })),
  });
});
