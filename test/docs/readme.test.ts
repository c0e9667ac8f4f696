/**
 * README's commands print what it shows, and the files that it has its reader write compile. `npx
 * vitest run test/docs -u` updates its console blocks.
 */
import { afterAll, describe, expect, test } from 'vitest';
import { POLICIES } from '../../impl/index.ts';
import { Engine } from '../../properties/checker/engine.ts';
import { parseScenario } from '../../properties/checker/scenarios/text.ts';
import { MODULE_VERSIONS } from '../../spec/tdx/versions/index.ts';
import { pathOf, textOf } from '../support/repository.ts';
import { Clone, filesIn, LONG, refreshed, tableIn, wrongClaims } from './document.ts';

const README = textOf('README.md');
const clone = new Clone(filesIn(README));
afterAll(() => clone.remove());

/** The answer of a module: the first one, or the one after its name, e.g. `A; 1.0.03: B`. */
function answerOf(cell: string | undefined, module: string): string | undefined {
  const [usual, ...others] = (cell ?? '').split('; ');
  return others.find((other) => other.startsWith(`${module}: `))?.slice(module.length + 2) ?? usual;
}

const unquoted = (cell = ''): string => cell.replaceAll('`', '');

test(
  'every console block of README shows what its commands print now',
  { timeout: LONG },
  async () => {
    const { text, unusable } = await refreshed(README, clone);

    expect(unusable).toEqual([]);
    await expect(text).toMatchFileSnapshot(pathOf('README.md'));
  },
);

test('the text claims the verdicts that the console blocks show', () => {
  expect(wrongClaims(README)).toEqual([]);
});

test('the compiler accepts the files that README has its reader write', async () => {
  expect(await clone.compile()).toEqual({ failed: 0, stdout: '', stderr: '' });
});

describe("README's tables", () => {
  test.each(tableIn(README, 'policy').map((cells) => cells.map(unquoted)))(
    'the policy %s is shipped, and declares to break the rules that the table lists',
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
        expect(violation?.seen ?? 'no rule is broken', `module ${module}`).toBe(
          answerOf(answer, module),
        );
      }
    },
  );
});
