/**
 * `sept-conformance/testing` on modules from outside and on other trees, run by vitest at the top
 * of a clone.
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { Clone, LONG } from '../docs/document.ts';
import { pathOf } from '../support/repository.ts';

/** A module, and tests of policies on it. */
const FILES: readonly (readonly [string, string])[] = [
  [
    'shared-block.ts',
    `import { defineModule } from './impl/index.ts';
    import { SHARED } from './spec/index.ts';
    export default defineModule('1.5.05', {
      name: 'shared-block', septLocks: { 'TDH.MEM.RANGE.BLOCK': { tree: SHARED } },
    });`,
  ],
  [
    'modules.test.ts',
    `import { frozenMirror, rcuBranchFree } from './impl/index.ts';
    import { conformance } from './properties/testing.ts';
    import module from './shared-block.ts';

    const options = {
      modules: [module], moduleHandle: 'shared-block.ts', runs: 300, only: ['S01', 'S02'],
    };
    conformance(frozenMirror, options);
    conformance(rcuBranchFree, options);

    const named = (name, breaks) => ({ ...rcuBranchFree, name, breaks });
    const S01 = { rule: 'S01', why: 'SEPT.REMOVE meets a child' };
    conformance(named('by-name', [{ ...S01, versions: ['shared-block'] }]), options);
    conformance(named('by-family', [{ ...S01, versions: ['1.5'] }]), options);
    conformance(named('by-other', [{ ...S01, versions: ['1.0'] }]), options);

    conformance(frozenMirror, { ...options, modules: [{ name: 'partial' }], moduleHandle: 'x.ts' });
    const throws = { name: 'TDH.MEM.RANGE.BLOCK', release: [], *run() { throw new Error('boom'); } };
    const faulty = { modules: [{ name: 'throws', functions: throws }], moduleHandle: 'throws.ts' };
    conformance(frozenMirror, { ...options, ...faulty });

    const deep = { modules: ['1.5.05'], tree: { levels: 4, fanout: 3 }, runs: 100, only: ['S01'] };
    conformance(frozenMirror, deep);
    conformance(named('rcu-branch-free', []), deep);`,
  ],
];

interface Result {
  readonly fullName: string;
  readonly status: string;
  readonly failureMessages: readonly string[];
}

const clone = new Clone(FILES);
let results: readonly Result[] = [];
beforeAll(async () => {
  const output = join(clone.folder, 'results.json');
  await clone.run('cli/bin.mjs', ['new', 'module', 'fresh']);
  await clone.run('node_modules/vitest/vitest.mjs', [
    'run',
    '--root',
    clone.folder,
    '--config',
    pathOf('vitest.config.ts'),
    '--reporter=json',
    `--outputFile=${output}`,
  ]);
  const { testResults } = JSON.parse(readFileSync(output, 'utf8')) as {
    testResults: { assertionResults: Result[] }[];
  }; // vitest's own format
  results = testResults.flatMap(({ assertionResults }) => assertionResults);
}, LONG);
afterAll(() => clone.remove());

const of = (title: string): Result[] =>
  results.filter(({ fullName }) => fullName.startsWith(`${title}, module shared-block `));
/** The first word of each test of a policy, and how it ended. */
const statuses = (title: string): [string, string][] =>
  of(title).map(({ fullName, status }) => [
    fullName.replace(/^\S+, module \S+ /, '').split(/[: ]/)[0] ?? '',
    status,
  ]);

describe('conformance on a module from outside', () => {
  test('a policy that holds has a test for each rule, under the name of the module', () => {
    const tests = results.filter(({ fullName }) =>
      fullName.startsWith('frozen-mirror, module shared-block '),
    );

    expect(tests.map(({ status }) => status)).toEqual(['passed', 'passed', 'passed']);
  });

  test('a shipped policy that breaks a rule has no expectation: the rule fails', () => {
    expect(statuses('rcu-branch-free')).toEqual([
      ['every', 'passed'],
      ['S01', 'failed'],
      ['S02', 'passed'],
    ]);
    expect(
      of('rcu-branch-free')[1]
        ?.failureMessages.join('')
        .replaceAll(/\n {5}/g, ' '),
    ).toMatch(/replay: sept show rcu-branch-free --module shared-block\.ts '/);
  });

  test('a policy of the user is expected to break a rule on the module, or on its family', () => {
    const broken = [
      ['every', 'passed'],
      ['S01', 'passed'],
    ];

    expect(statuses('by-name')).toEqual(broken);
    expect(statuses('by-family')).toEqual(broken);
    expect(statuses('by-other')).toContainEqual(['S01', 'failed']);
  });

  test('an object with a name and the fields that differ is a module', () => {
    const tests = results.filter(({ fullName }) => fullName.includes(', module partial '));

    expect(tests.map(({ status }) => status)).toEqual(['passed', 'passed', 'passed']);
  });

  test('the test that sept new module writes passes in a clone', () => {
    const tests = results.filter(({ fullName }) => fullName.includes(', module fresh '));

    expect(tests.filter(({ status }) => status === 'failed')).toEqual([]);
    expect(tests.filter(({ status }) => status === 'passed').length).toBeGreaterThan(40);
  });

  test('a module whose function throws fails one test, which names the function', () => {
    const tests = results.filter(({ fullName }) => fullName.includes(', module throws '));

    expect(tests.map(({ status }) => status)).toEqual(['failed', 'skipped', 'skipped']);
    expect(tests[0]?.failureMessages.join('')).toContain(
      'module "throws" (throws.ts): TDH.MEM.RANGE.BLOCK failed: boom; at step ',
    );
  });
});

describe('conformance on another tree of page tables', () => {
  const onTree = (policy: string): Result[] =>
    results.filter(({ fullName }) =>
      fullName.startsWith(`${policy}, module 1.5.05, levels 4, fanout 3 S01`),
    );

  test('a policy that holds passes under the name of the tree', () => {
    expect(onTree('frozen-mirror').map(({ status }) => status)).toEqual(['passed']);
  });

  test('a policy that does not fails with a scenario that names the tree', () => {
    const [failed, ...others] = onTree('rcu-branch-free');

    expect([failed?.status, others]).toEqual(['failed', []]);
    expect(failed?.failureMessages.join('\n')).toContain('scenario: levels 4, fanout 3 | v0: ');
  });
});
