/**
 * `sept check` on modules in files whose functions misbehave: each is reported in one line that
 * names the file, or as a rule that is broken, with the file in the command that replays it.
 */
import { afterAll, describe, expect, test } from 'vitest';
import { OutsideFolder } from './outside-folder.ts';
import { sept, type Ran } from './run.ts';

const outside = new OutsideFolder();
afterAll(() => outside.remove());

/** A file is loaded once: each module has a file of its own. */
let files = 0;

/** Checks frozen-mirror on module "mine", one of whose functions is another. */
const check = (functions: string, ...rules: string[]): Promise<Ran> =>
  sept(
    'check',
    'frozen-mirror',
    '--module',
    outside.write(
      `mine${++files}.ts`,
      `import { defineModule, functionOf } from 'sept-conformance/impl';
import { access, HELD_TREE, OPERAND_BUSY, READ } from 'sept-conformance/spec';
const block = functionOf('1.5.05', 'TDH.MEM.RANGE.BLOCK');
const septAdd = functionOf('1.5.05', 'TDH.MEM.SEPT.ADD');
let calls = 0;
export default defineModule('1.5.05', { name: 'mine', functions: ${functions} });`,
    ),
    '--runs',
    '50',
    ...rules.flatMap((rule) => ['--property', rule]),
  );

/** The refusal of a module in `mine.ts`, without the scenario that shows it. */
const refusal = async (functions: string): Promise<string> =>
  (await outside.refusal(check(functions)))
    .replaceAll(/mine\d+/g, 'mine')
    .replace(
      /; at step \d+ \(\w+\) of policy "frozen-mirror"; replay it with the scenario '[^']+'/,
      ' [in a scenario]',
    );
const MODULE = 'sept: module "mine" (/mine.ts):';
const BLOCK = `${MODULE} TDH.MEM.RANGE.BLOCK`;
const SEPT_ADD = `${MODULE} TDH.MEM.SEPT.ADD`;

describe('functions that misbehave', () => {
  test.each([
    [
      'throws',
      '{ ...block, *run(tdx, call) {\n  call.absent.call(); } }',
      `${BLOCK} failed: Cannot read properties of undefined (reading 'call') [in a scenario] ` +
        '(at /mine.ts:7:15)',
    ],
    [
      'yields what is no step',
      '{ ...block, *run() { yield 5.5; } }',
      `${BLOCK} yielded 5.5, not a step: use \`yield*\` to run steps [in a scenario]`,
    ],
    [
      'returns no status',
      '{ ...block, *run(tdx, call) { yield* block.run(tdx, call); } }',
      `${BLOCK} returned undefined, which is no status [in a scenario]`,
    ],
    [
      'returns a number that is no status',
      '{ ...block, *run(tdx, call) { yield* block.run(tdx, call); return 250; } }',
      `${BLOCK} returned 250, which is no status [in a scenario]`,
    ],
    [
      'is no generator',
      '{ ...block, run: () => 0 }',
      `${BLOCK} returned no steps: write it as a generator, *run(tdx, call) { … } [in a scenario]`,
    ],
    [
      'loops without a step',
      '{ ...block, *run(tdx, call) { for (;;) call.rdx++; } }',
      `${BLOCK} took no step for 2 s; every loop of a function needs a yield* [in a scenario]`,
    ],
  ])('sept check names the file of a module whose function %s', async (_what, own, message) => {
    expect(await refusal(own)).toBe(message);
  });

  test.each([
    [
      'throws',
      "{ ...septAdd, *run() {\n  throw new Error('boom'); } }",
      `${SEPT_ADD} failed: boom (at /mine.ts:7:9)`,
    ],
    [
      'loops without a step',
      '{ ...septAdd, *run(tdx, call) { for (;;) call.rdx++; } }',
      `${SEPT_ADD} took no step for 2 s; every loop of a function needs a yield*`,
    ],
    [
      'takes steps for ever',
      '{ ...septAdd, *run(tdx) { for (;;) yield access(tdx.memory.word(0, 0), READ); } }',
      `${SEPT_ADD} does not end: it has taken 1000000 steps`,
    ],
    [
      'is always refused',
      '{ ...septAdd, *run() { return OPERAND_BUSY; } }',
      'sept: policy "frozen-mirror" on module "mine" (/mine.ts): its VM cannot be built: ' +
        'it is not ready after 2 s',
    ],
  ])(
    'sept check names the file of a module with which no VM can be built, as a function %s',
    async (_what, own, message) => {
      expect(await refusal(own)).toBe(message);
    },
  );

  test('sept check refuses a module that keeps state between scenarios', async () => {
    const ran = check(
      `{ ...block, *run(tdx, call) {
        if (++calls % 50 === 7) yield* tdx.m.read(tdx.memory.word(0, 0));
        return yield* block.run(tdx, call);
      } }`,
      'S01',
    );

    expect(await outside.refusal(ran)).toMatch(
      new RegExp(
        '^sept: policy "frozen-mirror" on module "mine" \\(/mine\\d+.ts\\) is not deterministic: ' +
          'two runs of .* differ at step \\d+ .*; ' +
          'a policy or a module must not keep state between runs$',
      ),
    );
  });
});

describe('functions that break a rule', () => {
  const LOOPS = `{ ...block, *run(tdx) { for (;;) yield access(tdx.memory.word(0, 0), READ); } }`;
  const KEEPS = '{ ...block, release: block.release.filter((role) => role !== HELD_TREE) }';
  const SHARES = `{ ...block, *run(tdx, call) {
    const locking = { value: () => ({ tree: 1, entryLock: true }) };
    return yield* block.run(Object.create(tdx, { locking }), call);
  } }`;
  test.each([
    ['S08', 'never ends its steps', LOOPS, 'seen:     still running: destroy at page 0 word 0'],
    [
      'T09',
      'does not release a lock',
      KEEPS,
      'expected: TDH.MEM.RANGE.BLOCK releases its locks\nseen:     it still holds some',
    ],
    [
      'T10',
      'does not take the lock that its row names',
      SHARES,
      'expected: TDH.MEM.RANGE.BLOCK holds the tree\nseen:     it does not hold the tree',
    ],
  ])('sept check reports %s if a function %s', async (rule, _what, own, seen) => {
    const { code, stdout } = await check(own, rule);

    expect(code).toBe(1);
    expect(stdout).toContain(`${rule}: `);
    expect(stdout).toContain(seen);
    expect(stdout.replaceAll(/\n {5}/g, ' ')).toContain(
      `replay: sept show frozen-mirror --module ${outside.pathOf(`mine${files}.ts`)} 'v0:'`,
    );
  });
});
