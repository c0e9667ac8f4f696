/** `sept check`, `show` and `rules` as their users see them. */
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';
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

/** Writes a policy that is frozen-mirror with one thing changed. */
function policy(name: string, change: string): string {
  const file = join(folder, `${name}.ts`);
  writeFileSync(
    file,
    `import { frozenMirror } from ${JSON.stringify(IMPL)};\n` +
      `export default { ...frozenMirror, name: '${name}', ${change} };\n`,
  );
  return file;
}

/** Lines of a file that `--emit-trace` wrote. */
const emitted = (file: string): string[] =>
  (file.endsWith('.gz') ? gunzipSync(readFileSync(file)) : readFileSync(file))
    .toString()
    .split('\n');

describe('--emit-trace', () => {
  test('writes the first counterexample as a trace that is refused by its rule', async () => {
    const file = join(folder, 'b-46.trace');
    const checked = await sept('check', 'b-46', '--runs', '100', '--emit-trace', file);
    expect(checked.code).toBe(1);
    expect(checked.stderr).toContain(
      `${file}: ${emitted(file).length - 1} lines, of the scenario 'v0: read 0 | h0: remove-table 0'\n`,
    );

    const { code, stdout } = await sept('trace', file, '--json');
    expect(code).toBe(1);
    expect((JSON.parse(stdout) as { violations: unknown[] }).violations[0]).toMatchObject({
      rule: 'K48',
    }); // its own format
  });

  test('writes the longest run of a policy that passes, gzipped when the name says so', async () => {
    const file = join(folder, 'frozen-mirror.trace.gz');
    expect(
      (
        await sept(
          'check',
          'frozen-mirror',
          '--runs',
          '100',
          '--property',
          'K44',
          '--emit-trace',
          file,
        )
      ).code,
    ).toBe(0);
    expect(emitted(file).length).toBeGreaterThan(100);
    expect(await sept('trace', file)).toMatchObject({ code: 0, stderr: '' });
  });

  test('says why the trace will not show what the monitors saw', async () => {
    const file = join(folder, 'b-55.trace');
    const { stderr } = await sept('show', 'b-55', 'v0: touch-no-ve 0', '--emit-trace', file);
    expect(stderr).toContain(
      `${file}: sept trace will not name K60: no event shows which pages a guest has accepted\n`,
    );
    expect(await sept('trace', file)).toMatchObject({ code: 0 });
  });

  test('writes one scenario with sept show', async () => {
    const file = join(folder, 'shown.trace');
    expect((await sept('show', 'frozen-mirror', 'v0: touch 0', '--emit-trace', file)).code).toBe(0);
    expect(emitted(file).some((line) => line.includes(' tdh_mem_page_aug: '))).toBe(true);
  });

  test('says in one line, and before anything is run, that it cannot be written', async () => {
    const nowhere = join(folder, 'nowhere', 'x.trace');
    const checked = await sept('check', 'frozen-mirror', '--emit-trace', nowhere);
    expect(checked).toEqual({
      code: 2,
      stdout: '',
      stderr: `sept: ${nowhere}: there is no folder ${join(folder, 'nowhere')}; make it first\n`,
    });
    expect(await sept('show', 'frozen-mirror', 'v0: touch 0', '--emit-trace', folder)).toEqual({
      code: 2,
      stdout: '',
      stderr: `sept: ${folder} is a folder; name a file\n`,
    });
  });

  test('says so, too, when the disk refuses it, and leaves nothing behind', async () => {
    const before = readdirSync(folder);
    const { code, stderr } = await sept(
      'show',
      'frozen-mirror',
      'v0: touch 0',
      '--emit-trace',
      join(folder, 'x'.repeat(300)),
    );
    expect(code).toBe(2);
    expect(stderr).toMatch(/^sept: .*x cannot be written: ENAMETOOLONG.*\n$/);
    expect(readdirSync(folder)).toEqual(before);
  });
});

describe('sept check', () => {
  test('prints the verdict with its budget, and ends with 0 when the policy passes', async () => {
    expect(await sept('check', 'frozen-mirror', '--runs', '1500')).toEqual({
      code: 0,
      stdout: expect.stringMatching(
        /^frozen-mirror, module 1\.5: passes \(1523 scenarios, \d+ steps, seed 1\)\nnot applicable: K48, K49, K65, K68, T03\n$/,
      ),
      stderr: '',
    });
  });

  test('prints one JSON object with --json, and ends with 1 when the policy fails', async () => {
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
      module: '1.5',
      verdict: 'fails',
      histories: expect.any(Number),
      violations: [
        { rule: 'S01', rows: 6, switches: 2, history: expect.stringContaining('remove-table 0') },
      ],
      exercised: { S01: expect.any(Number) },
    });
  });

  test('is inconclusive, not passing, when a required rule was never put to the test', async () => {
    const file = join(folder, 'idle.ts');
    writeFileSync(
      file,
      "export default { id: 'X02', level: 'required', statement: '.', source: '', versions: ['*'] };",
    );
    const { code, stdout } = await sept('check', 'exclusive', '--property', file, '--runs', '2');

    expect({ code, lines: stdout.split('\n') }).toEqual({
      code: 1,
      lines: [
        expect.stringMatching(/^exclusive, module 1.5: inconclusive/),
        expect.stringMatching(/^never put to the test: .*X02/),
        'not applicable: K68',
        '',
      ],
    });
  });

  test('gives the same output for the same seed', async () => {
    const run = (): Promise<{ stdout: string }> =>
      sept('check', 'mirror-naive', '--runs', '600', '--seed', '5', '--json');

    expect((await run()).stdout).toBe((await run()).stdout);
  });

  test('finishes within a time budget', async () => {
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
      'it took no step for 2 s; every loop of a policy has to yield*',
    ],
  ])(
    'a policy that misbehaves (%s) gets one line that says what and where',
    async (name, change, message) => {
      const { code, stdout, stderr } = await sept('check', policy(name, change), '--runs', '200');

      expect({ code, stdout }).toEqual({ code: 2, stdout: '' });
      expect(stderr.trimEnd().split('\n')).toHaveLength(1);
      expect(stderr).toContain(message);
      expect(stderr).toContain(`policy ${name} failed at step`);
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
    expect(stdout).toContain('S07: Nobody waits for ever, and nobody ends with a lock in hand.');
    expect(stdout).toContain('it holds mmu_lock');
  });

  test('a policy that keeps state between scenarios is called not deterministic', async () => {
    const file = join(folder, 'state.ts');
    writeFileSync(
      file,
      `import { frozenMirror } from ${JSON.stringify(IMPL)};\nlet n = 0;\nexport default { ...frozenMirror, ` +
        `name: 'state', *promote(vm) { if (++n % 50 === 0) yield* vm.mmuLock.writeLock(); } };\n`,
    );
    const { code, stderr } = await sept('check', file, '--runs', '200');

    expect(code).toBe(2);
    expect(stderr).toContain('policy state is not deterministic');
  });

  test.each([
    [
      'no-such-policy',
      'there is no policy and no file "no-such-policy"; the policies are exclusive, frozen-mirror',
    ],
    ['five.ts', 'exports no policy: export one as default'],
    ['nameless.ts', 'the policy has no name'],
  ])('%s is refused with one line', async (name, message) => {
    writeFileSync(join(folder, 'five.ts'), 'export default 5;');
    writeFileSync(join(folder, 'nameless.ts'), 'export default {};');
    const { code, stderr } = await sept('check', name.endsWith('.ts') ? join(folder, name) : name);

    expect(code).toBe(2);
    expect(stderr.trimEnd().split('\n')).toHaveLength(1);
    expect(stderr).toContain(message);
  });

  test('a file that cannot be read as TypeScript is refused with one line, and the place in it', async () => {
    writeFileSync(join(folder, 'broken.ts'), 'export default {');
    const { code, stderr } = await septProcess('check', join(folder, 'broken.ts'));

    expect(code).toBe(2);
    expect(stderr.trimEnd().split('\n')).toHaveLength(1);
    expect(stderr).toContain('broken.ts:1:16: ERROR: Expected identifier but found end of file');
  });

  test('judges by a rule from a file, and counts how often it was put to the test', async () => {
    const file = join(folder, 'no-promote.ts');
    writeFileSync(
      file,
      `export default {
      id: 'X01', level: 'required', statement: 'Nobody promotes.', source: 'here', versions: ['*'],
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

  test('refuses a rule that does not exist', async () => {
    const { code, stderr } = await sept('check', 'exclusive', '--property', 'S99');

    expect({ code, stderr }).toEqual({
      code: 2,
      stderr: 'sept: there is no rule and no file "S99"; `sept rules` lists the rules\n',
    });
  });
});

describe('sept show', () => {
  test('runs a scenario, says that no rule is broken, and shows what happened', async () => {
    const { code, stdout } = await sept('show', 'frozen-mirror', 'v0: touch 0 | h0: unmap 0');

    expect(code).toBe(0);
    expect(stdout).toContain('frozen-mirror, module 1.5: no rule is broken by this scenario\n');
    expect(stdout).toContain('PAGE.REMOVE 0@4K -> SUCCESS');
  });

  test('accepts what a failing check printed, and reports the same failure', async () => {
    const { stdout } = await sept(
      'check',
      'mirror-naive',
      '--runs',
      '600',
      '--property',
      'S01',
      '--json',
    );
    const [{ history }] = (JSON.parse(stdout) as { violations: [{ history: string }] }).violations; // the shape is tested above
    const shown = await sept('show', 'mirror-naive', history);

    expect(shown.code).toBe(1);
    expect(shown.stdout).toContain('S01: Every call of the module succeeds');
    expect(shown.stdout).toContain(`scenario: ${history}`);
  });

  test.each([
    ['v5: touch 0', 'cannot read "v5: touch 0"'],
    ['v0: fly 0', 'there is no operation "fly" here; there are touch'],
    ['v0: touch 0 | v1: touch 0 | v2: touch 0', 'it has more than 2 vCPUs'],
  ])('refuses "%s" with one line', async (text, message) => {
    const { code, stderr } = await sept('show', 'exclusive', text);

    expect(code).toBe(2);
    expect(stderr).toContain(message);
  });
});

describe('sept rules', () => {
  test('lists every rule once', async () => {
    const { code, stdout } = await sept('rules', '--json');
    const { rules } = JSON.parse(stdout) as { rules: { id: string; statement: string }[] }; // looked at below
    const ids = rules.map((rule) => rule.id);

    expect(code).toBe(0);
    expect(new Set(ids).size).toBe(ids.length);
    expect(ids).toEqual(expect.arrayContaining(['H01', 'S01', 'S10', 'T01', 'T15']));
    for (const { statement } of rules) expect(statement).toMatch(/\.$/);
  });

  test('says what docs/rules.md says', async () => {
    const { stdout } = await sept('rules', '--markdown');

    expect(stdout).toBe(readFileSync(pathOf('docs/rules.md'), 'utf8'));
  });
});
