/** Modules in files outside the repository, named by `--module`: which are accepted. */
import { rmSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { MODULE_NAMES } from '../../spec/tdx/versions/index.ts';
import { EXERCISED_RULES, OutsideFolder } from './outside-folder.ts';
import { sept, septProcess, type Ran } from './run.ts';

const outside = new OutsideFolder();
afterAll(() => outside.remove());

/** Checks frozen-mirror on a module, in this process. */
const check = (name: string, text: string): Promise<Ran> =>
  sept('check', 'frozen-mirror', '--module', outside.write(name, text), ...RUNS);
const RUNS = ['--runs', '100', ...EXERCISED_RULES];
const PASSES = /^frozen-mirror, module mine: passes /;

describe('modules in files', () => {
  test.each([
    [
      'that uses defineModule',
      'defined.ts',
      `import { defineModule } from 'sept-conformance/impl';
      import { SHARED } from 'sept-conformance/spec';
      export default defineModule('1.5.05', {
        name: 'mine', septLocks: { 'TDH.MEM.RANGE.BLOCK': { tree: SHARED } },
      });`,
    ],
    [
      'that is exported as module',
      'named.ts',
      `import { defineModule } from 'sept-conformance';
      export const module = defineModule('1.0', { name: 'mine' });`,
    ],
    ['with a name alone', 'name.ts', "export default { name: 'mine' };"],
    [
      'that spreads a version',
      'spread.ts',
      `import { versionData, type VersionData } from 'sept-conformance/spec';
      export default { ...versionData('1.0'), name: 'mine' } satisfies VersionData;`,
    ],
    [
      'with a function of its own',
      'function.ts',
      `import { defineModule, functionOf } from 'sept-conformance/impl';
      const block = functionOf('1.5.05', 'TDH.MEM.RANGE.BLOCK');
      export default defineModule('1.5.05', {
        name: 'mine',
        functions: { ...block, *run(tdx, call) { return yield* block.run(tdx, call); } },
      });`,
    ],
    [
      'with a function that returns the steps of another',
      'hands-on.ts',
      `import { defineModule, functionOf } from 'sept-conformance/impl';
      const block = functionOf('1.5.05', 'TDH.MEM.RANGE.BLOCK');
      export default defineModule('1.5.05', {
        name: 'mine', functions: { ...block, run: (tdx, call) => block.run(tdx, call) },
      });`,
    ],
  ])('sept check accepts a module %s', async (_what, name, text) => {
    expect(await check(name, text)).toEqual({
      code: 0,
      stdout: expect.stringMatching(PASSES),
      stderr: '',
    });
  });

  test.each([
    [
      'in TypeScript',
      'typed.ts',
      `import { defineModule } from 'sept-conformance';
      export default defineModule('1.5.05', { name: 'mine' as string });`,
    ],
    [
      'in JavaScript',
      'plain.js',
      `import { defineModule } from 'sept-conformance/impl';
      export default defineModule('1.5.05', { name: 'mine' });`,
    ],
  ])(
    'the command loads a module %s where package.json says CommonJS',
    async (_what, name, text) => {
      outside.write('package.json', '{"type":"commonjs"}');
      const file = outside.write(name, text);
      const { stdout, stderr } = await septProcess(
        'check',
        'frozen-mirror',
        '--module',
        file,
        ...RUNS,
      );
      rmSync(outside.pathOf('package.json'));

      expect({ stdout, stderr }).toEqual({ stdout: expect.stringMatching(PASSES), stderr: '' });
    },
  );

  test.each([
    ['a misspelt version', '1.5.5', 'did you mean 1.5.05? The modules are '],
    ['an absent file', './absent.ts', 'the modules are '],
  ])('sept check prints one line about %s, and exits with 2', async (_what, name, hint) => {
    expect(await sept('check', 'frozen-mirror', '--module', name)).toEqual({
      code: 2,
      stdout: '',
      stderr: `sept: there is no module and no file "${name}"; ${hint}${MODULE_NAMES.join(', ')}\n`,
    });
  });

  test.each([
    [
      'a file that throws',
      'wrong.ts',
      "throw new Error('boom');",
      'sept: /wrong.ts cannot be loaded: boom (at /wrong.ts:1:7)',
    ],
    [
      'a file whose module has no name',
      'nameless.ts',
      "import { defineModule } from 'sept-conformance'; export default defineModule('1.0', {});",
      "sept: /nameless.ts: the module has no name: add name: 'my-module'",
    ],
    [
      'a file without a default export',
      'five.ts',
      'export const five = 5;',
      'sept: /five.ts: it exports no module: export one as default or as `module`, ' +
        "e.g. defineModule('1.5.05', { name: 'mine' })",
    ],
    [
      'a file with a misspelt row',
      'row.ts',
      `export default { name: 'mine', septLocks: { 'TDH.MEM.PAGE.AGU': { tree: null } } };`,
      'sept: /row.ts: module mine: unknown row "septLocks.TDH.MEM.PAGE.AGU"; ' +
        'did you mean "TDH.MEM.PAGE.AUG"?',
    ],
  ])('sept check prints one line about %s', async (_what, name, text, message) => {
    expect(await outside.refusal(check(name, text))).toBe(message);
  });
});

describe('what a command prints about a module from a file', () => {
  /** RANGE.BLOCK does not take the tree, though its row says so. */
  const SHARING = `import { defineModule, functionOf } from 'sept-conformance/impl';
    import { SHARED } from 'sept-conformance/spec';
    const block = functionOf('1.5.05', 'TDH.MEM.RANGE.BLOCK');
    const locking = { value: () => ({ tree: SHARED, entryLock: true }) };
    export default defineModule('1.5.05', {
      name: 'sharing',
      functions: { ...block, *run(tdx, call) {
        return yield* block.run(Object.create(tdx, { locking }), call);
      } },
    });`;
  let file = '';
  beforeAll(() => {
    file = outside.write('sharing.ts', SHARING);
  });
  const judged = (command: readonly string[], ...args: readonly string[]): Promise<Ran> =>
    sept(...command, '--module', file, '--property', 'T10', ...args);
  const CHECK = ['check', 'frozen-mirror', '--runs', '20'];

  test('a counterexample names the file in the command that replays it', async () => {
    const { code, stdout } = await judged(CHECK);
    const [, module = '', scenario = ''] =
      /replay: sept show frozen-mirror --module (\S+) '(.*)'$/m.exec(
        stdout.replaceAll(/\n {5}/g, ' '),
      ) ?? [];

    expect(code).toBe(1);
    expect(module).toBe(file);
    expect(await judged(['show', 'frozen-mirror', scenario])).toMatchObject({
      code: 1,
      stdout: expect.stringContaining('expected: TDH.MEM.RANGE.BLOCK holds the tree\n'),
    });
  });

  test('verdicts and JSON reports have the name of the module', async () => {
    const scenario = 'v0: touch 0';
    const checked = await judged(CHECK, '--json');
    const shown = await judged(['show', 'frozen-mirror', scenario], '--json');

    expect((await judged(CHECK)).stdout).toMatch(/^frozen-mirror, module sharing: fails /);
    expect(JSON.parse(checked.stdout)).toMatchObject({ module: 'sharing', verdict: 'fails' });
    expect(JSON.parse(shown.stdout)).toMatchObject({
      module: 'sharing',
      violation: { rule: 'T10' },
    });
  });

  test('sept show names the module of a run that breaks no rule', async () => {
    const named = outside.write('mine.ts', "export default { name: 'mine' };");
    const { stdout } = await sept('show', 'frozen-mirror', 'v0: idle 0', '--module', named);

    expect(stdout).toMatch(/^frozen-mirror, module mine: no rule is broken by this scenario\n/);
  });

  test('sept check writes the trace of a run on a module from a file', async () => {
    const trace = outside.pathOf('run.trace');
    await judged(CHECK, '--emit-trace', trace);

    expect(outside.read('run.trace')).toMatch(/tdh_mem_range_block/);
  });
});
