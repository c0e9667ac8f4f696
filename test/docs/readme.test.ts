/**
 * What README shows is what comes out, and what it tells its reader to write works. `npx vitest run test/docs -u`
 * brings its console blocks up to date.
 */
import { existsSync, readdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { POLICIES } from '../../impl/index.ts';
import { Engine } from '../../properties/engine.ts';
import { parseHistory } from '../../properties/text.ts';
import { MODULE_VERSIONS } from '../../spec/tdx/versions.ts';
import { recorded } from '../recordings/recorded.ts';
import { Clone, filesIn, pathOf, refreshed, tableIn, textOf } from './document.ts';

const README = textOf('README.md');
const clone = new Clone(filesIn(README));
afterAll(() => clone.remove());

const unquoted = (cell = ''): string => cell.replaceAll('`', '');

test('every console block shows what its commands print now', async () => {
  const recording = recorded('sequential.jsonl.gz');
  if (recording === null) console.log('README.md: without recordings, the blocks that replay them are not checked');
  const variables = recording === null ? {} : { RECORDINGS: dirname(recording) };
  const { text, unusable } = await refreshed(README, clone, variables);

  expect(unusable).toEqual([]);
  await expect(text).toMatchFileSnapshot(pathOf('README.md'));
});

test('the files that it tells to write are accepted by the compiler, with the settings of this repository', async () => {
  writeFileSync(join(clone.folder, 'tsconfig.json'), JSON.stringify({ extends: pathOf('tsconfig.json'), include: ['*.ts'] }));

  expect(await clone.run('node_modules/typescript/bin/tsc', ['-p', '.'])).toEqual({ failed: 0, stdout: '', stderr: '' });
});

describe('its tables', () => {
  test.each(tableIn(README, 'policy').map((cells) => cells.map(unquoted)))(
    'the policy %s is shipped, and breaks what the table says', (name, _what, rules) => {
      const policy = POLICIES.find((shipped) => shipped.name === name);

      expect(policy?.breaks.map(({ rule }) => rule).join(', ')).toBe(rules);
    });

  test.each(tableIn(README, 'shows').map((cells) => cells.map(unquoted)))(
    '%s: %s on %s', (_shows, name, history, answer) => {
      const policy = POLICIES.find((shipped) => shipped.name === name) ?? expect.fail(`there is no policy ${name}`);

      for (const module of MODULE_VERSIONS) {
        const violation = new Engine({ policy, module }).run(parseHistory(history ?? ''));
        expect(violation?.seen ?? 'no rule is broken', `module ${module}`).toBe(answer);
      }
    });
});

/** What a heading is linked by. */
const anchorOf = (heading: string): string => heading.toLowerCase().replaceAll(/[^\w\- ]/g, '').replaceAll(' ', '-');

test('every link between the documents leads to a file, and to a heading if it names one', () => {
  const documents = ['README.md', 'CHANGELOG.md', ...readdirSync(pathOf('docs')).map((name) => `docs/${name}`)];
  const broken = documents.flatMap((name) => [...textOf(name).matchAll(/\]\((?!https?:)([^)#]*)(?:#([^)]*))?\)/g)]
    .filter(([, path = '', anchor]) => {
      const target = path === '' ? name : join(dirname(name), path);
      if (!existsSync(pathOf(target))) return true;
      const headings = anchor === undefined ? [] : [...textOf(target).matchAll(/^#+ (.*)$/gm)].map(([, heading = '']) => anchorOf(heading));
      return anchor !== undefined && !headings.includes(anchor);
    }).map(([link]) => `${name}: ${link}`));

  expect(broken).toEqual([]);
});
