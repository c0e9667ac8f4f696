/** Output, errors and exit codes of `sept check` and `sept show`. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { pathOf } from '../support/repository.ts';
import { sept, septProcess } from './run.ts';

const IMPL = pathOf('impl/index.ts');
let folder = '';

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'sept-'));
  writeFileSync(join(folder, 'package.json'), '{"type":"module"}');
});
afterAll(() => rmSync(folder, { recursive: true }));

/** Writes a policy that is frozen-mirror with one change. */
function policy(name: string, change: string): string {
  const file = join(folder, `${name}.ts`);
  writeFileSync(
    file,
    `import { frozenMirror } from ${JSON.stringify(IMPL)};\n` +
      `export default { ...frozenMirror, name: '${name}', ${change} };\n`,
  );
  return file;
}

describe('the tree of page tables', () => {
  test('sept check names a tree that is not the default, also in its JSON', async () => {
    const { stdout } = await sept('check', 'exclusive', '--runs', '5', '--levels', '4');
    expect(stdout).toMatch(/^exclusive, module 1\.5\.05, levels 4: /);

    const json = await sept('check', 'exclusive', '--runs', '5', '--fanout', '3', '--json');
    expect(JSON.parse(json.stdout)).toMatchObject({ tree: { levels: 3, fanout: 3 } });
  });

  test('sept show takes the tree from the scenario, or from its options', async () => {
    const title = /^exclusive, module 1\.5\.05, levels 4, fanout 3: no rule is broken/;
    const named = await sept('show', 'exclusive', 'levels 4, fanout 3 | v0: touch 27');
    const given = await sept('show', 'exclusive', 'v0: touch 27', '--levels', '4', '--fanout', '3');

    expect(named.stdout).toMatch(title);
    expect(given).toEqual(named);
  });

  test.each([
    [['--levels', '6'], /argument '6' is invalid\. Give a whole number from 3 to 5\.$/],
    [['--fanout', '1'], /argument '1' is invalid\. Give a whole number from 2 to 4\.$/],
    [['--levels', '5'], /^sept: the scenario names levels 4, fanout 2: leave --levels and /],
  ])('sept show with %o is refused in one line', async (options, message) => {
    const { code, stderr } = await sept('show', 'exclusive', 'levels 4 | v0: touch 0', ...options);

    expect({ code, lines: stderr.trimEnd().split('\n') }).toEqual({
      code: 2,
      lines: [expect.stringMatching(message)],
    });
  });
});

describe('sept check', () => {
  test('sept check prints a verdict with its budget, and ends with 0 for a pass', async () => {
    expect(await sept('check', 'frozen-mirror', '--runs', '1500')).toEqual({
      code: 0,
      stdout: expect.stringMatching(
        new RegExp(
          '^frozen-mirror, module 1\\.5\\.05: passes \\(1523 scenarios, \\d+ steps, seed 1\\)\\n' +
            'not applicable: K48, K49, K65, K68, T03\\n$',
        ),
      ),
      stderr: '',
    });
  });

  test('sept check --json prints one object, and ends with 1 for a policy that fails', async () => {
    const { code, stdout } = await sept(
      'check',
      'rcu-branch-free',
      '--runs',
      '100',
      '--property',
      'S01',
      '--json',
    );

    expect(code).toBe(1);
    expect(JSON.parse(stdout)).toMatchObject({
      policy: 'rcu-branch-free',
      module: '1.5.05',
      verdict: 'fails',
      histories: expect.any(Number),
      violations: [
        { rule: 'S01', rows: 6, switches: 2, history: expect.stringContaining('remove-table 0') },
      ],
      exercised: { S01: expect.any(Number) },
    });
  });

  test('the verdict is inconclusive when a required rule was never exercised', async () => {
    const file = join(folder, 'idle.ts');
    writeFileSync(
      file,
      "export default { id: 'X02', level: 'required', statement: '.', source: '', " +
        "versions: ['*'] };",
    );
    const { code, stdout } = await sept('check', 'exclusive', '--property', file, '--runs', '2');

    expect({ code, lines: stdout.split('\n') }).toEqual({
      code: 1,
      lines: [
        expect.stringMatching(/^exclusive, module 1.5.05: inconclusive/),
        expect.stringMatching(/^not exercised: .*X02/),
        'not applicable: K68',
        '',
      ],
    });
  });

  test('sept check gives the same output for the same seed', async () => {
    const run = (): Promise<{ stdout: string }> =>
      sept('check', 'mirror-naive', '--runs', '600', '--seed', '5', '--json');

    expect((await run()).stdout).toBe((await run()).stdout);
  });

  test('sept check ends at its time budget', async () => {
    const { stdout } = await sept('check', 'exclusive', '--time', '500ms', '--json');

    expect(JSON.parse(stdout)).toMatchObject({ policy: 'exclusive', violations: [] });
  });

  test.each([
    ['throws', "*unmap() { throw new Error('boom'); }", 'boom'],
    ['nonsense', "*unmap() { yield 'x'; }", 'it yielded x, not a step'],
    [
      'no-answer',
      '*fault(vm) { yield* vm.m.read(0); }',
      'fault returned undefined instead of true',
    ],
    [
      'no-generator',
      'unmap() {}',
      'unmap returned undefined, not steps; write it as a generator, *unmap(vm, …) { … }',
    ],
    [
      'spins',
      '*unmap() { for (;;); }',
      'it took no step for 2 s; every loop of a policy needs a yield*',
    ],
  ])(
    'a policy that misbehaves (%s) is reported in one line: what, and at which step',
    async (name, change, message) => {
      const { code, stdout, stderr } = await sept('check', policy(name, change), '--runs', '200');

      expect({ code, stdout }).toEqual({ code: 2, stdout: '' });
      expect(stderr.trimEnd().split('\n')).toHaveLength(1);
      expect(stderr).toContain(message);
      expect(stderr).toContain(`policy "${name}" failed at step`);
    },
  );

  test('a policy that keeps a lock is reported by the rule that it breaks', async () => {
    const { code, stdout } = await sept(
      'check',
      policy('keeps', '*promote(vm) { yield* vm.mmuLock.writeLock(); }'),
      '--runs',
      '100',
    );

    expect(code).toBe(1);
    expect(stdout).toContain('S07: No actor waits for ever');
    expect(stdout).toContain('it holds mmu_lock');
  });

  test('a policy that keeps state between scenarios is reported as not deterministic', async () => {
    const file = join(folder, 'state.ts');
    writeFileSync(
      file,
      `import { frozenMirror } from ${JSON.stringify(IMPL)};\nlet n = 0;\n` +
        'export default { ...frozenMirror, ' +
        `name: 'state', *promote(vm) { if (++n % 50 === 0) yield* vm.mmuLock.writeLock(); } };\n`,
    );
    const { code, stderr } = await sept('check', file, '--runs', '200');

    expect(code).toBe(2);
    expect(stderr).toContain('policy "state" is not deterministic');
  });

  test.each([
    [
      'no-such-policy',
      'there is no policy and no file "no-such-policy"; `sept policies` lists the policies',
    ],
    ['five.ts', 'exports no policy: export one as default'],
    ['nameless.ts', 'the policy has no name'],
  ])('the policy %s is refused in one line', async (name, message) => {
    writeFileSync(join(folder, 'five.ts'), 'export default 5;');
    writeFileSync(join(folder, 'nameless.ts'), 'export default {};');
    const { code, stderr } = await sept('check', name.endsWith('.ts') ? join(folder, name) : name);

    expect(code).toBe(2);
    expect(stderr.trimEnd().split('\n')).toHaveLength(1);
    expect(stderr).toContain(message);
  });

  test('a file that is not TypeScript is refused in one line with the place in it', async () => {
    writeFileSync(join(folder, 'broken.ts'), 'export default {');
    const { code, stderr } = await septProcess('check', join(folder, 'broken.ts'));

    expect(code).toBe(2);
    expect(stderr.trimEnd().split('\n')).toHaveLength(1);
    expect(stderr).toContain('broken.ts:1:16: ERROR: Expected identifier but found end of file');
  });

  test('sept check judges by a rule from a file, and counts what it exercises', async () => {
    const file = join(folder, 'no-promote.ts');
    writeFileSync(
      file,
      `export default {
      id: 'X01', level: 'required', statement: 'No actor promotes.', source: 'here', versions: ['*'],
      watch: (vm, report) => vm.listeners.push({ answered: (call) => {
        if (call.name !== 'TDH.MEM.PAGE.PROMOTE') return;
        report.exercised();
        report.violated('no PROMOTE', 'a PROMOTE');
      } }),
    };`,
    );
    const { code, stdout } = await sept(
      'check',
      'exclusive',
      '--property',
      file,
      '--runs',
      '300',
      '--json',
    );

    expect(code).toBe(1);
    expect(JSON.parse(stdout)).toMatchObject({
      violations: [{ rule: 'X01' }],
      exercised: { X01: expect.any(Number) },
    });
  });

  test('a rule that does not exist is refused', async () => {
    const { code, stderr } = await sept('check', 'exclusive', '--property', 'S99');

    expect({ code, stderr }).toEqual({
      code: 2,
      stderr:
        'sept: there is no rule and no file "S99" (did you mean S09?); ' +
        '`sept rules` lists the rules\n',
    });
  });
});

describe('sept show', () => {
  test('sept show prints the timeline of a scenario that breaks no rule', async () => {
    const { code, stdout } = await sept('show', 'frozen-mirror', 'v0: touch 0 | h0: unmap 0');

    expect(code).toBe(0);
    expect(stdout).toContain('frozen-mirror, module 1.5.05: no rule is broken by this scenario\n');
    expect(stdout).toContain('PAGE.REMOVE 0@4K -> SUCCESS');
  });

  test('sept show reports the failure of a scenario that sept check printed', async () => {
    const { stdout } = await sept(
      'check',
      'mirror-naive',
      '--runs',
      '600',
      '--property',
      'S01',
      '--json',
    );
    // the shape is tested above
    const [{ history }] = (JSON.parse(stdout) as { violations: [{ history: string }] }).violations;
    const shown = await sept('show', 'mirror-naive', history);

    expect(shown.code).toBe(1);
    expect(shown.stdout).toContain('S01: Every SEAMCALL succeeds');
    expect(shown.stdout).toContain(`scenario: ${history}`);
  });

  test.each([
    ['v5: touch 0', 'cannot read "v5: touch 0"'],
    ['v0: fly 0', 'unknown operation "fly"; this actor has touch'],
    ['v0: touch 0 | v1: touch 0 | v2: touch 0', 'the scenario has more than 2 vCPUs'],
  ])('sept show refuses the scenario "%s"', async (text, message) => {
    const { code, stderr } = await sept('show', 'exclusive', text);

    expect(code).toBe(2);
    expect(stderr).toContain(message);
  });
});
