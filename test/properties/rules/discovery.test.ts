/** Rules are found by their files. */
import { mkdirSync, mkdtempSync, readdirSync, realpathSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { afterAll, expect, test } from 'vitest';
import { discoverRules, NoRule } from '../../../properties/rules/discovery.ts';
import { SYSTEM_RULES } from '../../../properties/rules/index.ts';
import { pathOf, textOf } from '../../support/repository.ts';

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

const idsIn = async (folder: string): Promise<string[]> =>
  (await discoverRules(pathToFileURL(`${folder}/`))).map(({ id }) => id);

test('in rules/ by default or in lists, in properties/ by a default export; in order of their ids', async () => {
  const folder = properties({
    'rules/last.ts': `export default ${rule('X09')};`,
    'rules/list.ts': `export const LIST = [${rule('X05')}, ${rule('X01')}];`,
    'dropped.ts': `const one = ${rule('X03')};\nexport { one as default };`,
    'engine.ts': 'export const engine = 5;',
  });

  expect(await idsIn(folder)).toEqual(['X01', 'X03', 'X05', 'X09']);
});

test('a list that is exported twice counts once', async () => {
  expect(
    await idsIn(
      properties({
        'rules/twice.ts': `export const LIST = [${rule('X01')}];\nexport default LIST;`,
      }),
    ),
  ).toEqual(['X01']);
});

test('two files with one id are refused in one line that names both', async () => {
  const folder = properties({
    'rules/a.ts': `export default ${rule('X01')};`,
    'b.ts': `export default ${rule('X01')};`,
  });

  await expect(idsIn(folder)).rejects.toThrow(
    new NoRule(
      `rule X01 is in ${folder}/rules/a.ts and in ${folder}/b.ts: give one of them another id`,
    ),
  );
});

test('so is an id of the module or of the machine', async () => {
  const folder = properties({ 'rules/a.ts': `export default ${rule('H01')};` });

  await expect(idsIn(folder)).rejects.toThrow(
    new NoRule(
      `rule H01 is in spec/machine/faults.ts and in ${folder}/rules/a.ts: give one of them another id`,
    ),
  );
});

test('a file in rules/ without a rule is refused by name', async () => {
  const folder = properties({ 'rules/helpers.ts': 'export const five = 5;' });

  await expect(idsIn(folder)).rejects.toThrow(`${folder}/rules/helpers.ts exports no rule`);
});

test('every rule of this repository is found', () => {
  const texts = readdirSync(pathOf('properties/rules'))
    .filter((name) => name.endsWith('.ts'))
    .map((name) => textOf(`properties/rules/${name}`))
    .join('\n');
  const ids = [...texts.matchAll(/^ {2}id: '(\w+)'/gm)].map(([, id]) => id);

  // the texts of K2 and K42 are with their monitors for ordinary VMs
  expect(SYSTEM_RULES.map(({ id }) => id).filter((id) => id !== 'K2' && id !== 'K42')).toEqual(
    ids.toSorted(),
  );
});
