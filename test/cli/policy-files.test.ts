/** `sept check` on policies in files outside the repository: which are accepted. */
import { rmSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { EXERCISED_RULES, OutsideFolder, PASSES } from './outside-folder.ts';

const outside = new OutsideFolder();
beforeAll(() => {
  outside.write('helper.ts', 'export const helper = <T>(it: T): T => it;');
});
afterAll(() => outside.remove());

describe('policies in files', () => {
  test.each([
    [
      'with a name and an entry point',
      'mine.ts',
      "export default { name: 'mine', *promote() {} };",
    ],
    ['with a name alone', 'name.ts', "export default { name: 'mine' };"],
    [
      'that uses definePolicy',
      'defined.ts',
      `import { definePolicy, exclusive } from 'sept-conformance/impl';
      export default definePolicy({
        name: 'mine', *promote(vm, gfn) { yield* this.demote(vm, gfn); }
      }, exclusive);`,
    ],
    [
      'that spreads another policy',
      'spread.ts',
      `import { exclusive, type Policy } from 'sept-conformance';
      export default { ...exclusive, name: 'mine' } satisfies Policy;`,
    ],
    [
      'that changes a function of the direct roots',
      'direct.ts',
      "export default { name: 'mine', direct: { *splitHugePages() {} } };",
    ],
    [
      'that is an instance of a class',
      'class.ts',
      `class Base { *promote() {} }
      class Mine extends Base { name = 'mine'; *demote() {} }
      export default new Mine();`,
    ],
    [
      'that returns the steps of another policy',
      'hands-on.ts',
      `import { frozenMirror } from 'sept-conformance/impl';
      export default { name: 'mine', unmap: (vm, gfn, pages) => frozenMirror.unmap(vm, gfn, pages) };`,
    ],
    [
      'in JavaScript',
      'mine.js',
      `import { frozenMirror } from 'sept-conformance/impl';
      export default { ...frozenMirror, name: 'mine' };`,
    ],
    [
      'made of blocks and calls',
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
  ])('sept check accepts a policy %s', async (_what, name, text) => {
    const { code, stdout, stderr } = await outside.check(name, text, ...EXERCISED_RULES);

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
  ])(
    'the command loads a policy %s where package.json says CommonJS',
    async (_what, name, text) => {
      outside.write('package.json', '{"type":"commonjs"}');
      const { stdout, stderr } = await outside.checkByCommand(name, text, ...EXERCISED_RULES);
      rmSync(outside.pathOf('package.json'));

      expect({ stdout, stderr }).toEqual({ stdout: expect.stringMatching(PASSES), stderr: '' });
    },
  );
});
