/** `sept rules`, and the flags that name rules. */
import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { pathOf } from '../support/repository.ts';
import { sept } from './run.ts';

test('sept rules --json lists every rule once, with its judges and breakers', async () => {
  const { code, stdout } = await sept('rules', '--json');
  const catalogue = JSON.parse(stdout) as { rules: { id: string; statement: string }[] }; // its own
  const { rules } = catalogue;
  const ids = rules.map((rule) => rule.id);

  expect(code).toBe(0);
  expect(new Set(ids).size).toBe(ids.length);
  expect(ids).toEqual(expect.arrayContaining(['H01', 'S01', 'S10', 'T01', 'T15']));
  expect(ids.indexOf('K9')).toBeLessThan(ids.indexOf('K10'));
  for (const { statement } of rules) expect(statement).toMatch(/\.$/);
  expect(rules.find(({ id }) => id === 'K2')).toMatchObject({
    intent: expect.any(String),
    hint: expect.any(String),
    vms: ['td', 'new-td', 'vm'],
    judges: ['specification', 'system', 'traces'],
    brokenBy: { policies: [], bugs: ['B-51'] },
  });
});

test('sept rules --markdown prints docs/rules.md', async () => {
  const { stdout } = await sept('rules', '--markdown');

  expect(stdout).toBe(readFileSync(pathOf('docs/rules.md'), 'utf8'));
});

test('sept rules ID prints one rule with its judges and the policies that break it', async () => {
  expect((await sept('rules', 'K48')).stdout).toMatchInlineSnapshot(`
    "K48 (required): While a TD may run, its tables are removed bottom-up: emptied while mapped, then
         blocked and removed, all before mmu_lock, held for write, is released.
    intent: Under a blocked table the module finds no child: pages there can no longer be removed.
    hint: Check the order of the removal: leaves first, then BLOCK and SEPT.REMOVE of their table, all
         under mmu_lock held for write and not in an RCU callback.
    source: Linux 6.14, tdp_mmu.c: handle_removed_pt(); thread, messages 11 to 16;
         docs/module-notes.md#walks
    module versions: all
    VMs: td, new-td
    monitors: system, traces
    policies that break it: rcu-branch-free, rcu-branch-free-bottom-up, rcu-branch-free-leaves-first,
         rcu-branch-free-retry, rcu-branch-free-table-first, rcu-branch-free-unblock, rcu-branch-frozen,
         rcu-branch-frozen-bottom-up, rcu-branch-frozen-track
    known bugs that break it: B-45, B-46, B-70, B-75
    "
  `);
});

test('sept rules takes several ids, in any case, with or without zeros', async () => {
  const { stdout } = await sept('rules', 'k20', 'K02', 's1');

  expect(stdout.match(/^\w+ \(\w+\):/gm)).toEqual([
    'K20 (required):',
    'K2 (required):',
    'S01 (required):',
  ]);
});

test.each([
  ['K69', 'there is no rule "K69" (did you mean K68 or K67 or K66?); `sept rules` lists the rules'],
  ['SO1', 'there is no rule "SO1" (did you mean S01 or S11?); `sept rules` lists the rules'],
  ['flush', 'there is no rule "flush"; `sept rules` lists the rules'],
])('sept rules refuses %s in one line, with ids that are near', async (name, message) => {
  expect(await sept('rules', 'S01', name)).toEqual({
    code: 2,
    stdout: '',
    stderr: `sept: ${message}\n`,
  });
});

test('--rule means the same as --property, and both add up', async () => {
  const judged = async (...args: string[]): Promise<string[]> => {
    const { stdout } = await sept('check', 'frozen-mirror', '--runs', '5', '--json', ...args);
    const { exercised } = JSON.parse(stdout) as { exercised: Record<string, number> }; // its own
    return Object.keys(exercised);
  };

  expect(await judged('--rule', 's02,S01')).toEqual(['S01', 'S02']);
  expect(await judged('--property', 'S01', '--rule', 'S02')).toEqual(['S01', 'S02']);
});

test.each(['--rule', '--property'])('%s without a name is refused', async (flag) => {
  const { code, stderr } = await sept('check', 'frozen-mirror', flag, ',');

  expect({ code, stderr }).toEqual({
    code: 2,
    stderr:
      `error: option '${flag} <names>' argument ',' is invalid. ` +
      'Name a rule, such as S01 or K20.\n',
  });
});
