/**
 * `sept check` on wrong policies in files: each is reported in one line, or as a rule that it
 * breaks.
 */
import { afterAll, describe, expect, test } from 'vitest';
import { NoPolicy, policyFrom } from '../../impl/index.ts';
import { EXERCISED_RULES, OutsideFolder, PASSES } from './outside-folder.ts';

const outside = new OutsideFolder();
afterAll(() => outside.remove());

describe('policies with wrong members', () => {
  test.each<[string, Record<string, unknown>, string]>([
    [
      'a member with nearly the name of an entry point',
      { *unmpa() {} },
      'unknown member "unmpa"; did you mean "unmap"? If it is a helper, rename it',
    ],
    [
      'a member in another case',
      { *removetable() {} },
      'unknown member "removetable"; did you mean "removeTable"? If it is a helper, rename it',
    ],
    [
      'a member with nearly the name of a text',
      { titel: '' },
      'unknown member "titel"; did you mean "title"? If it is a helper, rename it',
    ],
    [
      'a text for an entry point',
      { unmap: 'x' },
      'unmap is a text, not a function: write it as a generator, *unmap(vm, …) { … }',
    ],
    [
      'undefined for an entry point',
      { unmap: undefined },
      'unmap is undefined, not a function: write it as a generator, *unmap(vm, …) { … }',
    ],
    ['a number for a text', { title: 5 }, 'title is a number, not a text'],
    ['a text for a list', { breaks: 'S01' }, 'breaks is a text, not a list'],
    [
      'a list of other values',
      { breaks: ['S01'] },
      "breaks is not a list of { rule: 'S01', why: '…' }",
    ],
    [
      'a list without reasons',
      { never: ['S01'] },
      "never is not a list of { rule: 'S01', why: '…' }",
    ],
  ])('policyFrom() refuses %s', (_what, change, message) => {
    expect(() => policyFrom({ name: 'wrong', ...change })).toThrow(
      new NoPolicy(`policy wrong: ${message}`),
    );
  });

  test('policyFrom() accepts helpers', () => {
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
      'a file whose policy has no name',
      'nameless.ts',
      "import { definePolicy } from 'sept-conformance'; export default definePolicy({});",
      "sept: /nameless.ts: the policy has no name: add name: 'my-policy'",
    ],
    [
      'a file without a default export',
      'five.ts',
      'export const five = 5;',
      'sept: /five.ts: it exports no policy: export one as default, ' +
        "e.g. { name: 'mine', *unmap() { … } }",
    ],
  ])(
    'sept check prints one line about %s, and exits with 2',
    async (_what, name, text, message) => {
      expect(await outside.refusal(outside.check(name, text))).toBe(message);
    },
  );
});

describe('policies that misbehave', () => {
  test('sept check prints the step and the scenario at which a policy throws', async () => {
    expect(
      await outside.refusal(
        outside.checkByCommand(
          'throws.ts',
          `export default { name: 'throws', *unmap(vm) {
      vm.absent.call();
    } };`,
        ),
      ),
    ).toMatch(
      new RegExp(
        '^sept: policy "throws" failed at step \\d+ \\(h0\\): ' +
          "Cannot read properties of undefined \\(reading 'call'\\); " +
          "replay it with the scenario '.*' \\(at /throws.ts:2:17\\)$",
      ),
    );
  });

  test('sept check reports S08 and the last step if a policy never ends its steps', async () => {
    const { code, stdout } = await outside.check(
      'for-ever.ts',
      `export default { name: 'for-ever', *demote(vm) {
        for (;;) yield* vm.m.relax(vm.noEntry);
      } };`,
      '--property',
      'S08',
    );

    expect(code).toBe(1);
    expect(stdout).toContain(
      'S08: Under a fair schedule every operation ends: no retry loops for ever.',
    );
    expect(stdout).toContain('still running: h0 at wait_for_sept_zap');
  });

  test('sept check reports S07 if a policy does not release a lock', async () => {
    const { code, stdout } = await outside.check(
      'keeps.ts',
      "export default { name: 'keeps', *demote(vm) { yield* vm.mmuLock.readLock(); } };",
      '--property',
      'S07',
    );

    expect(code).toBe(1);
    expect(stdout).toContain('S07: No actor waits for ever');
    expect(stdout).toMatch(/^seen: {5}it holds mmu_lock$/m);
  });

  test('sept check refuses a policy that keeps state between scenarios', async () => {
    expect(
      await outside.refusal(
        outside.check(
          'state.ts',
          `import { frozenMirror } from 'sept-conformance/impl';
      let calls = 0;
      export default { name: 'state', *unmap(vm, gfn, pages) {
        if (++calls % 50 === 7) yield* vm.m.read(vm.slot);
        yield* frozenMirror.unmap(vm, gfn, pages);
      } };`,
          ...EXERCISED_RULES,
        ),
      ),
    ).toMatch(
      new RegExp(
        '^sept: policy "state" is not deterministic: ' +
          'two runs of .* differ at step \\d+ \\(h0\\): ' +
          'first mmu_lock = -?\\d+ at step \\d+, then mmu_lock = -?\\d+ at step \\d+; ' +
          'a policy must not keep state between runs$',
      ),
    );
  });

  test('sept check accepts a policy that clears its state between runs', async () => {
    const { stdout } = await outside.check(
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
      ...EXERCISED_RULES,
    );

    expect(stdout).toMatch(PASSES);
  });
});
