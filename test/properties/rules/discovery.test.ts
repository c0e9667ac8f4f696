/** Rules are found by their files. */
import { mkdirSync, mkdtempSync, readdirSync, realpathSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { afterAll, expect, test } from 'vitest';
import { discoverRules, NoRule } from '../../../properties/rules/discovery.ts';
import { SYSTEM_RULES } from '../../../properties/rules/index.ts';
import type { VmRule } from '../../../properties/rules/rule.ts';
import { KVM_RULES } from '../../../spec/kvm/rules/index.ts';
import { pathOf } from '../../support/repository.ts';

const folders: string[] = [];
afterAll(() => folders.forEach((folder) => rmSync(folder, { recursive: true })));

const rule = (id: string): string =>
  `{ id: '${id}', level: 'required', statement: 'It holds.', source: 'here', versions: ['*'] }`;

/** A folder like properties/, with these files in it. */
function properties(files: Readonly<Record<string, string>>): string {
  const folder = realpathSync(mkdtempSync(join(tmpdir(), 'sept-rules-')));
  folders.push(folder);
  for (const [name, text] of Object.entries({
    'rules/index.ts': '',
    'rules/rule.ts': '',
    ...files,
  })) {
    mkdirSync(dirname(join(folder, name)), { recursive: true });
    writeFileSync(join(folder, name), text);
  }
  return folder;
}

const found = (folder: string): Promise<readonly VmRule[]> =>
  discoverRules(pathToFileURL(`${folder}/`));

test('a rule is found in rules/ by the name of its file, in properties/ by export', async () => {
  const folder = properties({
    'rules/x10-last.ts': `export default ${rule('X10')};`,
    'rules/x09-first.ts': `const one = ${rule('X9')};\nexport { one as default };`,
    'rules/helpers.ts': 'export const five = 5;',
    'dropped.ts': `const one = ${rule('X03')};\nexport { one as default };`,
    'engine.ts': 'export const engine = 5;',
  });

  expect((await found(folder)).map(({ id }) => id)).toEqual(['X03', 'X9', 'X10']);
});

test('a second monitor of a KVM rule takes its text from that rule, not its level', async () => {
  const folder = properties({
    'rules/k02-cmpxchg.ts': "export default { id: 'K2', level: 'stochastic', vms: ['td'] };",
  });
  const k2 = KVM_RULES.find(({ id }) => id === 'K2');
  const [monitor] = await found(folder);

  expect(monitor).toMatchObject({ id: 'K2', level: 'stochastic', vms: ['td'] });
  expect([monitor?.statement, monitor?.hint]).toEqual([k2?.statement, k2?.hint]);
});

test.each([
  [
    'two files with one id are refused in one line that names both',
    {
      'rules/x01-a.ts': `export default ${rule('X01')};`,
      'b.ts': `export default ${rule('X01')};`,
    },
    'rule X01 is in /rules/x01-a.ts and in /b.ts: give one of them another id',
  ],
  [
    'an id of the machine is refused',
    { 'rules/h01-a.ts': `export default ${rule('H01')};` },
    'rule H01 is in spec/machine/faults.ts and in /rules/h01-a.ts: give one of them another id',
  ],
  [
    'an id of a KVM rule is refused when the rule is not a second monitor',
    { 'rules/k20-a.ts': `export default ${rule('K20')};` },
    'rule K20 is in spec/kvm/rules/ and in /rules/k20-a.ts: give one of them another id',
  ],
  [
    'a file whose name begins with an id and that has no rule is refused',
    { 'rules/x01-a.ts': 'export const five = 5;' },
    '/rules/x01-a.ts exports no rule: export one as default, with id, level, statement, ' +
      'source and versions',
  ],
  [
    'a rule whose id is not that of its file is refused',
    { 'rules/x01-a.ts': `export default ${rule('X02')};` },
    '/rules/x01-a.ts exports rule X02, but its name begins with X01; rename it',
  ],
  [
    'a file with two rules is refused',
    { 'rules/x01-a.ts': `export default [${rule('X01')}, ${rule('X02')}];` },
    '/rules/x01-a.ts exports several rules: give each a file of its own',
  ],
  [
    'a default export in rules/ under a name without an id is refused',
    { 'rules/mine.ts': `export default ${rule('X01')};` },
    "/rules/mine.ts has a default export, but its name does not begin with a rule's id, " +
      'as k43-mirror-private-only.ts does; rename it',
  ],
])('%s', async (_title, files, message) => {
  const folder = properties(files);
  const error: unknown = await found(folder).catch((reason: unknown) => reason);

  expect(error).toBeInstanceOf(NoRule);
  expect(String(error).replaceAll(folder, '')).toBe(`NoRule: ${message}`);
});

test('every rule of properties/rules is found, in the order of the file names', () => {
  const ids = readdirSync(pathOf('properties/rules'))
    .flatMap((name) => /^([ks])(\d\d)-.*\.ts$/.exec(name)?.slice(1, 3).join('') ?? [])
    .map((id) => id.toUpperCase().replace(/^K0/, 'K'));

  expect(SYSTEM_RULES.map(({ id }) => id)).toEqual(ids);
});
