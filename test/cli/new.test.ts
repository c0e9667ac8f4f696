/** `sept new`, and the files that it writes. */
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { OutsideFolder } from './outside-folder.ts';
import { sept } from './run.ts';

const outside = new OutsideFolder();
const folder = outside.path;
afterAll(() => outside.remove());

describe('sept new', () => {
  test('sept new writes a policy and a property that run unchanged, and prints how', async () => {
    const written = [
      await sept('new', 'policy', 'fresh', '--dir', folder),
      await sept('new', 'property', 'under-write', '--dir', folder),
    ];

    expect(written.map(({ stdout }) => stdout.replaceAll(folder, ''))).toEqual([
      '/fresh.ts is written; it runs as it is:\n    sept check /fresh.ts\n',
      '/under-write.ts is written; it runs as it is:\n' +
        '    sept check frozen-mirror --property /under-write.ts\n',
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

  test('sept new writes a module and its test, and prints how to run both', async () => {
    const { stdout } = await sept('new', 'module', 'fresh-module', '--dir', folder);

    expect(stdout.replaceAll(folder, '')).toBe(
      '/fresh-module.ts is written; it runs as it is:\n' +
        '    sept check frozen-mirror --module /fresh-module.ts\n' +
        '/fresh-module.test.ts is written; it runs as it is:\n' +
        '    npx vitest run /fresh-module.test.ts\n',
    );
    expect(
      await sept(
        'check',
        'frozen-mirror',
        '--module',
        join(folder, 'fresh-module.ts'),
        '--property',
        'S01,S02',
        '--runs',
        '100',
      ),
    ).toMatchObject({
      code: 0,
      stdout: expect.stringMatching(/^frozen-mirror, module fresh-module: passes /),
    });
  });

  test('sept new writes no module if the file of its test exists', async () => {
    outside.write('half.test.ts', '');

    expect(await outside.refusal(sept('new', 'module', 'half', '--dir', folder))).toBe(
      'sept: /half.test.ts is not written: the file exists; ' +
        'choose another name, or another folder with --dir',
    );
    expect(outside.names()).not.toContain('half.ts');
  });

  test('the property that sept new writes fails a policy that breaks it', async () => {
    const { stdout } = await outside.check(
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

  test('sept new gives a second property the next id', async () => {
    await sept('new', 'property', 'second', '--dir', folder);

    expect(outside.read('second.ts')).toContain("id: 'X02'");
  });

  test.each([
    [
      'a file that exists',
      ['policy', 'fresh'],
      'sept: /fresh.ts is not written: the file exists; ' +
        'choose another name, or another folder with --dir',
    ],
    [
      'a folder that does not exist',
      ['policy', 'other', 'absent'],
      'sept: /absent/other.ts is not written: there is no such folder; create it first',
    ],
    [
      'an invalid name',
      ['property', 'No Name'],
      "error: command-argument value 'No Name' is invalid for argument 'name'. " +
        'Give lower-case letters and digits, with hyphens between words: zap-under-read.',
    ],
  ])(
    'sept new refuses %s, and writes nothing',
    async (_what, [kind = '', name = '', below = ''], message) => {
      const before = outside.names();

      expect(await outside.refusal(sept('new', kind, name, '--dir', join(folder, below)))).toBe(
        message,
      );
      expect(outside.names()).toEqual(before);
    },
  );
});
