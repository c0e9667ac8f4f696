/**
 * `sept hunt`, `replay`, `judge` and `conflicts` on modules in files: each takes `--module FILE`,
 * and names the file when a function misbehaves.
 */
import { afterAll, describe, expect, test } from 'vitest';
import { pathOf } from '../support/repository.ts';
import { OutsideFolder } from './outside-folder.ts';
import { sept } from './run.ts';

const outside = new OutsideFolder();
afterAll(() => outside.remove());

/** Writes a module "mine" with these changes of 1.5.05. */
const written = (name: string, changes: string): string =>
  outside.write(
    name,
    `import { defineModule, functionOf } from 'sept-conformance/impl';
import { access, HELD_TREE, OPERAND_BUSY, READ, versionData } from 'sept-conformance/spec';
const block = functionOf('1.5.05', 'TDH.MEM.RANGE.BLOCK');
const septAdd = functionOf('1.5.05', 'TDH.MEM.SEPT.ADD');
export default defineModule('1.5.05', { name: 'mine', ${changes} });`,
  );

const SHARED_BLOCK = "septLocks: { 'TDH.MEM.RANGE.BLOCK': { tree: 1 } }";
const RECORDED: readonly (readonly [string, string])[] = [
  ['replay', 'sequential.jsonl.gz'],
  ['judge', 'concurrent.jsonl.gz'],
  ['conflicts', 'conflicts.json'],
];
const HUNT = ['hunt', '--runs', '600'];
const COMMANDS: readonly (readonly string[])[] = [
  HUNT,
  ...RECORDED.map(([command, file]) => [command, pathOf(`recordings/${file}`)]),
];

describe('a module with another lock row', () => {
  const file = written('shared-block.ts', SHARED_BLOCK);

  test('sept replay finds no difference, as no calls meet in a sequential recording', async () => {
    const recording = pathOf('recordings/sequential.jsonl.gz');

    expect(await sept('replay', recording, '--module', file)).toMatchObject({
      code: 0,
      stdout: expect.stringMatching(/, 0 differing\n$/),
    });
  });

  test('sept judge finds the refusals for which the module has no lock', async () => {
    const recording = pathOf('recordings/concurrent.jsonl.gz');

    expect(await sept('judge', recording, '--module', file)).toMatchObject({
      code: 1,
      stdout: expect.stringContaining(
        'was refused a lock that no call or vCPU can have held (operand 146)',
      ),
    });
  });

  test('sept conflicts finds the call that the module does not refuse', async () => {
    const recording = pathOf('recordings/conflicts.json');

    expect(await sept('conflicts', recording, '--module', file)).toMatchObject({
      code: 1,
      stdout: expect.stringMatching(/ yStatus +TDX_OPERAND_BUSY\|SEPT_TREE +TDX_SUCCESS\n/),
    });
  });

  test('sept hunt names the module and finds the race that the row allows', async () => {
    const options = ['--begin', 'RUNNABLE', '--actors', '2', '--runs', '5000', '--module', file];
    const { code, stdout } = await sept('hunt', ...options);

    expect(code).toBe(1);
    expect(stdout).toMatch(
      /^module "mine" \(.*shared-block\.ts\), seed 1: 5000 scenarios, calls overlap in \d+, /,
    );
    expect(stdout).toMatch(/^ {2}sept hunt --module \S*shared-block\.ts --begin RUNNABLE '/m);
    expect(stdout).toContain(
      'new: no order ends in that state (TDH.MEM.PAGE.AUG, TDH.MEM.RANGE.BLOCK)',
    );
  });

  test('sept hunt --json has the name of the module', async () => {
    const { stdout } = await sept(...HUNT, '--module', file, '--json');

    expect(JSON.parse(stdout)).toMatchObject({ module: 'mine', histories: 600 });
  });
});

describe.each(COMMANDS.map((command) => [command[0] ?? '', command] as const))(
  'sept %s on a module whose functions misbehave',
  (name, command) => {
    const refused = async (changes: string, nth: number): Promise<string> => {
      const file = written(`${name}-${nth}.ts`, changes);
      return (await outside.refusal(sept(...command, '--module', file))).replace(
        `${name}-${nth}`,
        'mine',
      );
    };

    test(`sept ${name} names the file of a function that throws`, async () => {
      const throws = 'functions: { ...block, *run(tdx, call) {\n  call.absent.call(); } }';

      expect(await refused(throws, 1)).toBe(
        'sept: module "mine" (/mine.ts): TDH.MEM.RANGE.BLOCK failed: ' +
          `Cannot read properties of undefined (reading 'call') (at /${name}-1.ts:6:15)`,
      );
    });

    test(`sept ${name} names the file of a function that loops without a step`, async () => {
      const loops = 'functions: { ...block, *run(tdx, call) { for (;;) call.rdx++; } }';

      expect(await refused(loops, 2)).toBe(
        'sept: module "mine" (/mine.ts): TDH.MEM.RANGE.BLOCK took no step for 2 s; ' +
          'every loop of a function needs a yield*',
      );
    });

    test(`sept ${name} names the file of a function that yields what is no step`, async () => {
      expect(await refused('functions: { ...block, *run() { yield 5.5; } }', 3)).toBe(
        'sept: module "mine" (/mine.ts): TDH.MEM.RANGE.BLOCK yielded 5.5, not a step: ' +
          'use `yield*` to run steps',
      );
    });
  },
);

describe('functions in the fields of a module', () => {
  const recording = pathOf('recordings/sequential.jsonl.gz');
  const encoding = (body: string): string => `encoding: { toRegister(e, base, ve) { ${body} } }`;

  test('sept replay uses the encoding of the module', async () => {
    const same =
      'return BigInt.asUintN(64, versionData("1.5.05").encoding.toRegister(e, base, ve));';
    const other = 'return 0n;';
    const [equal, wrong] = [
      await sept('replay', recording, '--module', written('same.ts', encoding(same))),
      await sept('replay', recording, '--module', written('other.ts', encoding(other))),
    ];

    expect(equal.stdout).toMatch(/, 0 differing\n$/);
    expect(wrong.stdout).toMatch(/^\d+ scenarios, \d+ steps, [1-9]\d* differing\n/);
  });

  test('sept replay names the file and the field of a function that throws', async () => {
    const file = written('field.ts', encoding("throw new Error('boom');"));

    const line = await outside.refusal(sept('replay', recording, '--module', file));
    expect(line.replace(/:\d+\)$/, ')')).toBe(
      'sept: module "mine" (/field.ts): encoding.toRegister failed: boom (at /field.ts:5)',
    );
  });
});

describe('functions that take steps for ever, or keep a lock', () => {
  const FOREVER = `functions: { ...block, *run(tdx) {
    for (;;) yield access(tdx.memory.word(0, 0), READ);
  } }`;

  test.each(RECORDED)('sept %s ends a call that takes a million steps', async (name, file) => {
    const module = written(`${name}-steps.ts`, FOREVER);
    const ran = sept(name, pathOf(`recordings/${file}`), '--module', module);

    expect((await outside.refusal(ran)).replace(`${name}-steps`, 'mine')).toBe(
      'sept: module "mine" (/mine.ts): TDH.MEM.RANGE.BLOCK does not end: ' +
        'it has taken 1000000 steps',
    );
  });

  test('sept hunt reports a call that does not end, and a lock that is left behind', async () => {
    const keeps = 'functions: { ...block, release: block.release.filter((r) => r !== HELD_TREE) }';
    const [endless, kept] = [
      await sept(...HUNT, '--module', written('endless.ts', FOREVER)),
      await sept(...HUNT, '--module', written('keeps.ts', keeps)),
    ];

    expect(endless.stdout).toContain(
      'new: TDH.MEM.RANGE.BLOCK does not end (TDH.MEM.RANGE.BLOCK)\n',
    );
    expect(kept.stdout).toContain(
      'new: a lock is left behind: S-EPT entry or TD (TDH.MEM.RANGE.BLOCK)\n',
    );
  });

  test('sept hunt names the file of a module with which no TD can be built', async () => {
    const busy = written('busy.ts', 'functions: { ...septAdd, *run() { return OPERAND_BUSY; } }');

    expect(await outside.refusal(sept(...HUNT, '--module', busy))).toBe(
      'sept: module "mine" (/busy.ts): TDH.MEM.SEPT.ADD answers TDX_OPERAND_BUSY',
    );
  });
});
