/**
 * The package as npm would publish it: packed, installed in an empty project outside the
 * repository, and used there as a command and in tests of the project's own vitest.
 */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { captureScript } from '../../properties/traces/capture/script.ts';
import { Project } from './project.ts';

const project = new Project();
const sept = (...args: string[]): ReturnType<Project['bin']> => project.bin('sept', ...args);

beforeAll(async () => {
  await project.install('vitest', 'typescript');
  await sept('new', 'policy', 'mine');
  await sept('new', 'property', 'under-write');
  await sept('new', 'module', 'fresh');
  project.write(
    'zap-under-read.ts',
    `
    import { definePolicy, demotePage, returnPages, zapLeaves } from 'sept-conformance/impl';

    export default definePolicy({
      name: 'zap-under-read',
      *unmap(vm, gfn, pages) {
        yield* vm.mmuLock.readLock();
        yield* vm.invalidation.begin();
        yield* zapLeaves(vm, gfn, pages, demotePage);
        yield* returnPages(vm, gfn, pages);
        yield* vm.invalidation.end();
        yield* vm.mmuLock.readUnlock();
      },
    });
  `,
  );
}, 300_000);
afterAll(() => project.remove());

test('the package has no TypeScript but declarations, and runs nothing when installed', () => {
  const folder = join(project.folder, 'node_modules', 'sept-conformance');
  const files = readdirSync(folder, { recursive: true, encoding: 'utf8' });
  const { scripts } = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8')) as {
    scripts: object;
  }; // ours

  expect(files.filter((name) => /(?<!\.d)\.ts$/.test(name))).toEqual([]);
  expect(files.filter((name) => name.startsWith('test'))).toEqual([]);
  expect(Object.keys(scripts).filter((name) => /install|^prepare$/.test(name))).toEqual([]);
});

describe('the command of the package', () => {
  test('sept --version prints the version of the package', async () => {
    const { version } = JSON.parse(project.read('node_modules/sept-conformance/package.json')) as {
      version: string;
    }; // npm needs it

    expect(await sept('--version')).toEqual({ code: 0, output: `${version}\n` });
  });

  test('sept check passes a new policy with a new rule', async () => {
    expect(
      await sept('check', 'mine.ts', '--runs', '200', '--property', 'S01,under-write.ts'),
    ).toEqual({
      code: 0,
      output: expect.stringMatching(
        /^mine, module 1\.5\.05: passes \(\d+ scenarios, \d+ steps, seed 1\)\n$/,
      ),
    });
  });

  test('sept check judges a policy on a new module', async () => {
    expect(
      await sept('check', 'mine.ts', '--module', 'fresh.ts', '--runs', '200', '--property', 'S01'),
    ).toEqual({ code: 0, output: expect.stringMatching(/^mine, module fresh: passes /) });
  });

  test('sept refuses a value that is not a module with one line', async () => {
    project.write('half.ts', "export default { name: 'half', septLock: {} };");

    expect(await sept('hunt', '--module', 'half.ts')).toEqual({
      code: 2,
      output: 'sept: half.ts: module half: unknown field "septLock"; did you mean "septLocks"?\n',
    });
  });

  test('sept check catches a faulty policy, and sept show reruns its counterexample', async () => {
    const { code, output } = await sept(
      'check',
      'zap-under-read.ts',
      '--runs',
      '200',
      '--property',
      'S01',
    );
    const replay = /replay: sept show (\S+) --module 1\.5\.05 '([^']+)'/.exec(output);

    expect(code).toBe(1);
    expect(output).toContain(
      'S01: Every SEAMCALL succeeds or returns a status that its caller handles.',
    );
    expect(await sept('show', replay?.[1] ?? '', replay?.[2] ?? '')).toMatchObject({
      code: 1,
      output: expect.stringContaining('seen:     TDX_OPERAND_BUSY|SEPT_TREE'),
    });
  });

  test('sept finds the rules and the recordings of the package', async () => {
    const { output } = await sept('rules');

    expect(output).toMatch(/^S11 /m);
    expect(
      await sept('replay', 'node_modules/sept-conformance/recordings/sequential.jsonl.gz'),
    ).toMatchObject({
      code: 0,
      output: expect.stringMatching(/, 0 differing\n$/),
    });
  });

  test('sept probes prints the script for the traced host', async () => {
    expect(await sept('probes', '--script')).toEqual({ code: 0, output: captureScript() });
  });

  test('sept refuses a value that is not a policy with one line', async () => {
    project.write('typo.ts', "export default { name: 'typo', *unmpa() {} };");

    expect(await sept('check', 'typo.ts')).toEqual({
      code: 2,
      output:
        'sept: typo.ts: policy typo: unknown member "unmpa"; did you mean "unmap"? ' +
        'If it is a helper, rename it\n',
    });
  });
});

describe('the tests of the package', () => {
  test('each rule is a test, and fails with the counterexample if it is broken', async () => {
    project.write(
      'mine.test.ts',
      `
      import { conformance } from 'sept-conformance/testing';
      import mine from './mine.ts';
      import underWrite from './under-write.ts';
      import zapUnderRead from './zap-under-read.ts';

      conformance(mine, { properties: [underWrite], modules: ['1.5'] });
      const faulty = { runs: 300, only: ['S01', 'S10'], handle: 'zap-under-read.ts' };
      conformance(zapUnderRead, { ...faulty, modules: ['1.5'] });
    `,
    );
    const { code } = await project.bin(
      'vitest',
      'run',
      '--reporter=json',
      '--outputFile=results.json',
    );
    // vitest's own format
    const { testResults } = JSON.parse(project.read('results.json')) as { testResults: Result[] };
    const results = testResults.flatMap(({ assertionResults }) => assertionResults);
    const of = (policy: string): Result['assertionResults'] =>
      results.filter(({ fullName }) => fullName.startsWith(policy));
    const statuses = (policy: string): unknown[] =>
      of(policy).map(({ title, status }) => [title.slice(0, 3), status]);

    expect(code).toBe(1);
    const onFresh = of('frozen-mirror, module fresh');
    expect(onFresh.filter(({ status }) => status === 'failed')).toEqual([]);
    expect(onFresh.filter(({ status }) => status === 'passed').length).toBeGreaterThan(40);
    expect(of('mine').filter(({ status }) => status === 'failed')).toEqual([]);
    expect(statuses('mine')).toEqual(
      expect.arrayContaining([
        ['S01', 'passed'],
        ['X01', 'passed'],
        ['T03', 'skipped'],
      ]),
    );
    expect(statuses('zap-under-read')).toEqual([
      ['eve', 'passed'],
      ['S01', 'failed'],
      ['S10', 'passed'],
    ]);
    expect(of('zap-under-read')[1]?.failureMessages.join('')).toContain(
      'replay: sept show zap-under-read.ts --module 1.5',
    );
  });

  test('a policy that cannot be judged fails one test, and the others are skipped', async () => {
    project.write(
      'throws.test.ts',
      `
      import { conformance } from 'sept-conformance/testing';

      const throws = { name: 'throws', *unmap() { throw new Error('boom'); } };
      conformance(throws, { modules: ['1.5'], only: ['S01'] });
    `,
    );
    const { code, output } = await project.bin('vitest', 'run', 'throws');

    expect(code).toBe(1);
    expect(output).toMatch(
      /Failure: policy "throws" failed at step \d+ \(h0\): boom; replay it with the scenario '/,
    );
    expect(output).toMatch(/Tests {2}1 failed \| 1 skipped/);
  });
});

test('a strict project compiles against the types of the package', async () => {
  project.write(
    'tsconfig.json',
    JSON.stringify({
      compilerOptions: {
        strict: true,
        module: 'nodenext',
        target: 'es2022',
        noEmit: true,
        types: [],
        skipLibCheck: false,
        allowImportingTsExtensions: true,
      },
      files: [
        'mine.ts',
        'under-write.ts',
        'zap-under-read.ts',
        'fresh.ts',
        'fresh.test.ts',
        'all.ts',
      ],
    }),
  );
  project.write(
    'all.ts',
    ['', '/spec', '/impl', '/properties', '/testing']
      .map(
        (part, i) => `import * as part${i} from 'sept-conformance${part}';\nexport { part${i} };`,
      )
      .join('\n'),
  );

  expect(await project.bin('tsc', '-p', '.')).toEqual({ code: 0, output: '' });
  expect(existsSync(join(project.folder, 'node_modules', '@types', 'node'))).toBe(false);
});

interface Result {
  readonly assertionResults: readonly {
    readonly fullName: string;
    readonly title: string;
    readonly status: string;
    readonly failureMessages: readonly string[];
  }[];
}
