/**
 * What README shows is what comes out, and what it tells its reader to write works. `npx vitest run
 * test/docs -u` brings its console blocks up to date.
 */
import { existsSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { POLICIES } from '../../impl/index.ts';
import { Engine } from '../../properties/checker/engine.ts';
import { parseScenario } from '../../properties/checker/scenarios/text.ts';
import { MODULE_VERSIONS } from '../../spec/tdx/versions.ts';
import { recorded } from '../properties/module/recordings/recorded.ts';
import { documents, pathOf, textOf } from '../support/repository.ts';
import { Clone, filesIn, refreshed, tableIn } from './document.ts';

const README = textOf('README.md');
const clone = new Clone(filesIn(README));
afterAll(() => clone.remove());

const unquoted = (cell = ''): string => cell.replaceAll('`', '');

test('every console block shows what its commands print now', async () => {
  const recording = recorded('sequential.jsonl.gz');
  if (recording === null)
    console.log('README.md: without recordings, the blocks that replay them are not checked');
  const variables = recording === null ? {} : { RECORDINGS: dirname(recording) };
  const { text, unusable } = await refreshed(README, clone, variables);

  expect(unusable).toEqual([]);
  await expect(text).toMatchFileSnapshot(pathOf('README.md'));
});

test('the compiler accepts the files that it tells to write, with the settings of this repository', async () => {
  const settings = { extends: pathOf('tsconfig.json'), include: ['*.ts'] };
  writeFileSync(join(clone.folder, 'tsconfig.json'), JSON.stringify(settings));
  const compiled = await clone.run('node_modules/typescript/bin/tsc', ['-p', '.']);

  expect(compiled).toEqual({ failed: 0, stdout: '', stderr: '' });
});

describe('its tables', () => {
  test.each(tableIn(README, 'policy').map((cells) => cells.map(unquoted)))(
    'the policy %s is shipped, and breaks what the table says',
    (name, _what, rules) => {
      const policy = POLICIES.find((shipped) => shipped.name === name);

      expect(policy?.breaks.map(({ rule }) => rule).join(', ')).toBe(rules);
    },
  );

  test.each(tableIn(README, 'shows').map((cells) => cells.map(unquoted)))(
    '%s: %s on %s',
    (_shows, name, scenario, answer) => {
      const policy =
        POLICIES.find((shipped) => shipped.name === name) ??
        expect.fail(`there is no policy ${name}`);

      for (const module of MODULE_VERSIONS) {
        const violation = new Engine({ policy, module }).run(parseScenario(scenario ?? ''));
        expect(violation?.seen ?? 'no rule is broken', `module ${module}`).toBe(answer);
      }
    },
  );
});

/** What the headings of a document are linked by. */
const anchorsOf = (text: string): string[] =>
  [...text.matchAll(/^#+ (.*)$/gm)].map(([, heading = '']) =>
    heading
      .toLowerCase()
      .replaceAll(/[^\w\- ]/g, '')
      .replaceAll(' ', '-'),
  );

test('every link between the documents leads to a file, and to a heading if it names one', () => {
  const broken = documents().flatMap((name) =>
    [...textOf(name).matchAll(/\]\((?!https?:)([^)#]*)(?:#([^)]*))?\)/g)]
      .filter(([, path = '', anchor]) => {
        const target = path === '' ? name : join(dirname(name), path);
        return (
          !existsSync(pathOf(target)) ||
          (anchor !== undefined && !anchorsOf(textOf(target)).includes(anchor))
        );
      })
      .map(([link]) => `${name}: ${link}`),
  );

  expect(broken).toEqual([]);
});
