/** `sept trace` as its users see it: what is printed where, and with which exit code it ends. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { TRACE_RULE_IDS } from '../../properties/traces/rules/index.ts';
import { pathOf } from '../support/repository.ts';
import { sept } from './run.ts';

const own = (name: string): string => pathOf(`recordings/traces/${name}.trace.gz`);

const GOOD = own('linux-7.3.4-faults-1g');
const BAD = own('linux-7.3.4-bug-notifier-without-flush');
const VM = '0xffff8881016c6000';

let folder = '';
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'sept-'));
});
afterAll(() => rmSync(folder, { recursive: true }));

describe('sept trace', () => {
  test('lists how often each rule was put to the test, and ends with 0 when none is broken', async () => {
    const { code, stdout, stderr } = await sept('trace', GOOD);
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    expect(stdout).toContain(`${GOOD}: Linux 7.3, 254 events, 0 violations\n`);
    for (const id of TRACE_RULE_IDS) expect(stdout).toMatch(new RegExp(`^${id} +\\d+ +0`, 'm'));
    expect(stdout).toMatch(/^K18 +0 +0 +no event nxzap in the trace$/m);
  });

  test('shows where a rule is broken, and since when, and ends with 1', async () => {
    const { code, stdout } = await sept('trace', BAD, '--rule', 'K20');
    expect(code).toBe(1);
    expect(stdout.slice(stdout.indexOf('\n') + 1).replaceAll(BAD, 'FILE')).toMatchInlineSnapshot(`
      "
      rule  exercised  violated  not judged
      K20   4          1

      K20: SPTEs zapped under a valid root are flushed before mmu_lock is released; a notifier that spans
      several memslots may flush later, but before it returns.
      FILE
        513  GFN 0x13a0 at 4K: 224d825 became 8000000000000000
      ! 518  kw-527: releases mmu_lock (or ends the invalidation) without a TLB flush after zapping GFNs
             [0x13a0, 0x13a1)
             kw-527     [000] ...1.          514: wu: (_raw_write_unlock+0x4/0x30) lock=0xffff888102d16000
      "
    `);
  });

  test('prints one object with --json', async () => {
    const { code, stdout } = await sept('trace', BAD, GOOD, '--json');
    const verdict = JSON.parse(stdout) as unknown;
    expect(code).toBe(1);
    expect(verdict).toMatchObject({
      events: 842,
      violations: [{ rule: 'K20', line: 518, task: 'kw-527', file: BAD }],
      rules: { K20: { violated: 1 }, K1: { violated: 0 } },
      traces: [{ kernel: '7.3' }, { kernel: '7.3', vms: [VM] }],
    });
    expect((verdict as { rate: unknown }).rate).toBeTypeOf('number'); // checked by the line above
  });

  test('judges one VM only with --vm', async () => {
    expect((await sept('trace', GOOD, '--vm', VM)).code).toBe(0);
    expect(await sept('trace', GOOD, '--vm', '0x1')).toEqual({
      code: 2,
      stdout: '',
      stderr: `sept: ${GOOD}: no event of VM 0x1; --vm takes one of ${VM}\n`,
    });
  });

  test('reads plain text as well', async () => {
    const plain = join(folder, 'plain.trace');
    writeFileSync(plain, gunzipSync(readFileSync(GOOD)));
    expect((await sept('trace', plain)).code).toBe(0);
  });

  test('says in one line what is wrong with a file or an option, and ends with 2', async () => {
    const text = join(folder, 'text');
    writeFileSync(text, 'hello\n');
    expect(await sept('trace', text)).toEqual({
      code: 2,
      stdout: '',
      stderr: `sept: ${text}: no ftrace event in it; give the text of the file \`trace\` in tracefs\n`,
    });
    expect(await sept('trace', 'nowhere')).toEqual({
      code: 2,
      stdout: '',
      stderr: 'sept: nowhere: no such file; check the path\n',
    });
    const { code, stderr } = await sept('trace', GOOD, '--rule', 'K99');
    expect([code, stderr.split('; ')[0]]).toEqual([2, 'sept: no rule K99 for traces']);
  });
});
