/**
 * Policies and rules that live elsewhere: in a folder that has no package.json, or one that says
 * CommonJS, and no package of ours installed. One file is enough; whatever is wrong with it is said
 * in one line.
 */
import {
  mkdtempSync,
  readdirSync,
  readFileSync,
  realpathSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join, relative } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { NoPolicy, policyFrom } from '../../impl/index.ts';
import { NoRule, rulesIn } from '../../properties/rules/discovery.ts';
import { sept, septProcess, type Ran } from './run.ts';

let folder = '';

beforeAll(() => {
  folder = realpathSync(mkdtempSync(join(tmpdir(), 'sept-outside-')));
  file('helper.ts', 'export const helper = <T>(it: T): T => it;');
});
afterAll(() => rmSync(folder, { recursive: true }));

function file(name: string, text: string): string {
  writeFileSync(join(folder, name), text);
  return join(folder, name);
}

const check = (name: string, text: string, ...args: string[]): Promise<Ran> =>
  sept('check', file(name, text), '--runs', '100', ...args);

/** The same by the command itself, which has its own way to load what it is given. */
const checkByCommand = (name: string, text: string, ...args: string[]): Promise<Ran> =>
  septProcess('check', file(name, text), '--runs', '100', ...args);

/** The one line of a command that could not use what it was given. */
async function refusal(ran: Promise<Ran>): Promise<string> {
  const { code, stdout, stderr } = await ran;
  expect({ code, stdout, lines: stderr.split('\n').length }).toEqual({
    code: 2,
    stdout: '',
    lines: 2,
  });
  return stderr.replaceAll(relative('', folder), '').replaceAll(folder, '').trimEnd();
}

const PASSES = /^mine, module 1\.5: passes /;
/** Rules that a hundred scenarios exercise. */
const RULES = ['--property', 'S01,S02'];

describe('one file is enough', () => {
  test.each([
    ['a name and an entry point', 'mine.ts', "export default { name: 'mine', *promote() {} };"],
    ['a name alone', 'name.ts', "export default { name: 'mine' };"],
    [
      'one that is defined',
      'defined.ts',
      `import { definePolicy, exclusive } from 'sept-conformance/impl';
      export default definePolicy({ name: 'mine', *promote(vm, gfn) { yield* this.demote(vm, gfn); } }, exclusive);`,
    ],
    [
      'one that is spread',
      'spread.ts',
      `import { exclusive, type Policy } from 'sept-conformance';
      export default { ...exclusive, name: 'mine' } satisfies Policy;`,
    ],
    [
      'one that changes a step of the direct roots',
      'direct.ts',
      "export default { name: 'mine', direct: { *splitHugePages() {} } };",
    ],
    [
      'one that is a class',
      'class.ts',
      `class Base { *promote() {} }
      class Mine extends Base { name = 'mine'; *demote() {} }
      export default new Mine();`,
    ],
    [
      'one whose entry point hands on the steps of another',
      'hands-on.ts',
      `import { frozenMirror } from 'sept-conformance/impl';
      export default { name: 'mine', unmap: (vm, gfn, pages) => frozenMirror.unmap(vm, gfn, pages) };`,
    ],
    [
      'one in JavaScript',
      'mine.js',
      `import { frozenMirror } from 'sept-conformance/impl';
      export default { ...frozenMirror, name: 'mine' };`,
    ],
    [
      'one made of blocks and calls',
      'blocks.ts',
      `import { mapping, track, withoutVcpus } from 'sept-conformance/impl';
      import { kindOfSpte, LEAF, rangeBlock, rangeUnblock } from 'sept-conformance/spec';
      import { helper } from './helper.ts';
      export default { name: 'mine', *demote(vm, gfn) {
        yield* vm.mmuLock.writeLock();
        const place = yield* vm.mirror.walk(gfn, 0);
        if (kindOfSpte(place.spte) === LEAF) {
          yield* withoutVcpus(vm, rangeBlock, mapping(vm, gfn, helper(0)));
          yield* track(vm);
          yield* withoutVcpus(vm, rangeUnblock, mapping(vm, gfn, 0));
        }
        yield* vm.mmuLock.writeUnlock();
      } };`,
    ],
  ])('%s', async (_what, name, text) => {
    const { code, stdout, stderr } = await check(name, text, ...RULES);

    expect({ code, stdout, stderr }).toEqual({
      code: 0,
      stdout: expect.stringMatching(PASSES),
      stderr: '',
    });
  });

  test.each([
    [
      'in TypeScript',
      'typed.ts',
      `import { exclusive, type Policy } from 'sept-conformance';
      export default { ...exclusive, name: 'mine' } satisfies Policy;`,
    ],
    [
      'in JavaScript',
      'plain.js',
      `import { frozenMirror } from 'sept-conformance/impl';
      import { helper } from './helper.ts';
      export default { ...frozenMirror, name: helper('mine') };`,
    ],
  ])('%s, also where package.json says CommonJS', async (_what, name, text) => {
    file('package.json', '{"type":"commonjs"}');
    const { stdout, stderr } = await checkByCommand(name, text, ...RULES);
    rmSync(join(folder, 'package.json'));

    expect({ stdout, stderr }).toEqual({ stdout: expect.stringMatching(PASSES), stderr: '' });
  });
});

describe('what is wrong with a policy is said in one line', () => {
  test.each<[string, Record<string, unknown>, string]>([
    [
      'a name that is nearly an entry point',
      { *unmpa() {} },
      'unknown member "unmpa"; did you mean "unmap"? If it is a helper, rename it',
    ],
    [
      'another case',
      { *removetable() {} },
      'unknown member "removetable"; did you mean "removeTable"? If it is a helper, rename it',
    ],
    [
      'a text that is nearly one',
      { titel: '' },
      'unknown member "titel"; did you mean "title"? If it is a helper, rename it',
    ],
    [
      'a text for an entry point',
      { unmap: 'x' },
      'unmap is a text, not a function: write it as a generator, *unmap(vm, …) { … }',
    ],
    [
      'nothing for an entry point',
      { unmap: undefined },
      'unmap is undefined, not a function: write it as a generator, *unmap(vm, …) { … }',
    ],
    ['a number for a text', { title: 5 }, 'title is a number, not a text'],
    ['a text for a list', { breaks: 'S01' }, 'breaks is a text, not a list'],
    [
      'a list of other things',
      { breaks: ['S01'] },
      "breaks is not a list of { rule: 'S01', why: '…' }",
    ],
    [
      'reasons that are none',
      { never: ['S01'] },
      "never is not a list of { rule: 'S01', why: '…' }",
    ],
  ])('%s', (_what, change, message) => {
    expect(() => policyFrom({ name: 'wrong', ...change })).toThrow(
      new NoPolicy(`policy wrong: ${message}`),
    );
  });

  test("helpers are nobody's business", () => {
    expect(policyFrom({ name: 'mine', *zapAll() {}, budget: 5 })).toMatchObject({ budget: 5 });
  });

  test.each([
    [
      'a file that throws',
      'wrong.ts',
      "throw new Error('boom');",
      'sept: /wrong.ts cannot be loaded: boom (at /wrong.ts:1:7)',
    ],
    [
      'a definition that is none',
      'nameless.ts',
      "import { definePolicy } from 'sept-conformance'; export default definePolicy({});",
      "sept: /nameless.ts: the policy has no name: add name: 'my-policy'",
    ],
    [
      'no default',
      'five.ts',
      'export const five = 5;',
      "sept: /five.ts: it exports no policy: export one as default, e.g. { name: 'mine', *unmap() { … } }",
    ],
  ])('%s', async (_what, name, text, message) => {
    expect(await refusal(check(name, text))).toBe(message);
  });
});

describe('a policy that misbehaves is told so, at the step', () => {
  test('it throws', async () => {
    expect(
      await refusal(
        checkByCommand(
          'throws.ts',
          `export default { name: 'throws', *unmap(vm) {
      vm.absent.call();
    } };`,
        ),
      ),
    ).toMatch(
      new RegExp(
        '^sept: policy "throws" failed at step \\d+ \\(h0\\): Cannot read properties of undefined \\(reading \'call\'\\); ' +
          "replay it with the scenario '.*' \\(at /throws.ts:2:17\\)$",
      ),
    );
  });

  test('it takes steps for ever: S08, where it was when the run was ended', async () => {
    const { code, stdout } = await check(
      'for-ever.ts',
      "export default { name: 'for-ever', *demote(vm) { for (;;) yield* vm.m.relax(vm.noEntry); } };",
      '--property',
      'S08',
    );

    expect(code).toBe(1);
    expect(stdout).toContain(
      'S08: Under a fair schedule every operation ends: no retry loops for ever.',
    );
    expect(stdout).toContain('still running: h0 at wait_for_sept_zap');
  });

  test('it forgets an unlock: S07, at the row that took the lock', async () => {
    const { code, stdout } = await check(
      'keeps.ts',
      "export default { name: 'keeps', *demote(vm) { yield* vm.mmuLock.readLock(); } };",
      '--property',
      'S07',
    );

    expect(code).toBe(1);
    expect(stdout).toContain('S07: No actor waits for ever');
    expect(stdout).toMatch(/^seen: {5}it holds mmu_lock$/m);
  });

  test('it keeps state between scenarios, and passes by luck', async () => {
    expect(
      await refusal(
        check(
          'state.ts',
          `import { frozenMirror } from 'sept-conformance/impl';
      let calls = 0;
      export default { name: 'state', *unmap(vm, gfn, pages) {
        if (++calls % 50 === 7) yield* vm.m.read(vm.slot);
        yield* frozenMirror.unmap(vm, gfn, pages);
      } };`,
          ...RULES,
        ),
      ),
    ).toMatch(
      new RegExp(
        '^sept: policy "state" is not deterministic: two runs of .* differ at step \\d+ \\(h0\\): ' +
          'first mmu_lock = -?\\d+ at step \\d+, then mmu_lock = -?\\d+ at step \\d+; a policy must not keep state between runs$',
      ),
    );
  });

  test('state that is cleared between runs is no state', async () => {
    const { stdout } = await check(
      'cleared.ts',
      `import { frozenMirror } from 'sept-conformance/impl';
      const calls = new WeakMap();
      const countOf = (vm) => {
        const known = calls.get(vm);
        if (known !== undefined) return known;
        const count = { now: 0 };
        calls.set(vm, count);
        vm.m.onReset(() => { count.now = 0; });
        return count;
      };
      export default { name: 'mine', *unmap(vm, gfn, pages) {
        if (++countOf(vm).now === 2) yield* vm.m.read(vm.slot);
        yield* frozenMirror.unmap(vm, gfn, pages);
      } };`,
      ...RULES,
    );

    expect(stdout).toMatch(PASSES);
  });
});

describe('sept new', () => {
  test('a policy and a property run as they are, and say how', async () => {
    const written = [
      await sept('new', 'policy', 'fresh', '--dir', folder),
      await sept('new', 'property', 'under-write', '--dir', folder),
    ];

    expect(written.map(({ stdout }) => stdout.replaceAll(folder, ''))).toEqual([
      '/fresh.ts is written; it runs as it is:\n    sept check /fresh.ts\n',
      '/under-write.ts is written; it runs as it is:\n    sept check frozen-mirror --property /under-write.ts\n',
    ]);
    const { code, stdout, stderr } = await sept(
      'check',
      join(folder, 'fresh.ts'),
      '--property',
      `S01,${join(folder, 'under-write.ts')}`,
      '--runs',
      '100',
      '--json',
    );
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    expect(JSON.parse(stdout)).toMatchObject({
      policy: 'fresh',
      verdict: 'passes',
      exercised: { X01: expect.any(Number) },
    });
  });

  test('the property fails a policy that breaks it', async () => {
    const { stdout } = await check(
      'under-read.ts',
      `import { zapLeaves, returnPages, demotePage } from 'sept-conformance/impl';
      export default { name: 'under-read', *unmap(vm, gfn, pages) {
        yield* vm.mmuLock.readLock();
        yield* zapLeaves(vm, gfn, pages, demotePage);
        yield* returnPages(vm, gfn, pages);
        yield* vm.mmuLock.readUnlock();
      } };`,
      '--property',
      `S01,${join(folder, 'under-write.ts')}`,
    );

    const [, options = '', scenario = ''] =
      /replay: sept show (.*) '(.*)'$/m.exec(stdout.replaceAll(/\n {5}/g, ' ')) ?? [];
    const shown = await sept('show', ...options.split(' '), scenario);
    for (const output of [stdout, shown.stdout]) {
      expect(output).toContain(
        'X01: A page is removed from the Secure EPT only with mmu_lock held for write.',
      );
    }
  });

  test('a second property takes the next id', async () => {
    await sept('new', 'property', 'second', '--dir', folder);

    expect(readFileSync(join(folder, 'second.ts'), 'utf8')).toContain("id: 'X02'");
  });

  test.each([
    [
      'a file that is there',
      ['policy', 'fresh'],
      'sept: /fresh.ts is not written: it is there already; take another name, or another folder with --dir',
    ],
    [
      'a folder that is not',
      ['policy', 'other', 'absent'],
      'sept: /absent/other.ts is not written: there is no such folder; make it first',
    ],
    [
      'a name that is none',
      ['property', 'No Name'],
      "error: command-argument value 'No Name' is invalid for argument 'name'. " +
        'Give small letters and digits, with hyphens between words: zap-under-read.',
    ],
  ])(
    '%s is refused, and nothing is left behind',
    async (_what, [kind = '', name = '', below = ''], message) => {
      const before = readdirSync(folder);

      expect(await refusal(sept('new', kind, name, '--dir', join(folder, below)))).toBe(message);
      expect(readdirSync(folder)).toEqual(before);
    },
  );
});

const WHOLE = {
  id: 'X01',
  level: 'required',
  statement: 'It holds.',
  source: 'here',
  versions: ['*'],
};

describe('rules from files', () => {
  const rule = (id: string): string => `export default ${JSON.stringify({ ...WHOLE, id })};`;
  const judged = (...names: string[]): Promise<Ran> =>
    sept(
      'check',
      'frozen-mirror',
      '--runs',
      '20',
      '--property',
      names.map((name) => join(folder, name)).join(','),
    );

  test.each([
    [
      'five',
      5,
      'exports no rule: export one as default, with id, level, statement, source and versions',
    ],
    ['half', { id: 'X01', level: 'required' }, 'exports no rule: X01: it lacks statement, source'],
    [
      'level',
      { ...WHOLE, level: 'high' },
      'exports no rule: X01: level is none of required, stochastic, untested',
    ],
    ['check', { ...WHOLE, watch: 5 }, 'exports no rule: X01: watch is no function'],
    [
      'slip',
      { ...WHOLE, atrest() {} },
      'exports no rule: X01: unknown member "atrest"; did you mean "atRest"?',
    ],
  ])('%s is refused', (name, value, message) => {
    expect(() => rulesIn(name, [value])).toThrow(new NoRule(`${name} ${message}`));
  });

  test('two with one id are refused, and both files named', async () => {
    file('one.ts', rule('X01'));
    file('other.ts', rule('X01'));
    file('shipped.ts', rule('T01'));

    expect(await refusal(judged('one.ts', 'other.ts'))).toBe(
      'sept: rule X01 is in /one.ts and in /other.ts: give one of them another id',
    );
    expect(await refusal(judged('shipped.ts'))).toBe(
      'sept: rule T01 is in the shipped rules and in /shipped.ts: give one of them another id',
    );
  });
});
