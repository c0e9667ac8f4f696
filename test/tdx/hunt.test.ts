/**
 * The hunt for races: what is known of the real module comes out of random calls by itself, the histories of
 * docs/findings.md are judged as they say there, and calls one after the other are all explained.
 */
import { describe, expect, test } from 'vitest';
import { parseHistory } from '../../properties/histories/text.ts';
import { hunt, Hunter, type OpState } from '../../properties/hunt/hunt.ts';
import { sept } from '../cli/run.ts';

describe('a hunt on module 1.5', () => {
  const { findings, histories } = hunt({ module: '1.5', seed: 1, runs: 40_000 });
  const found = findings.map(({ cause, opState }) => `${opState}: ${cause.replace(/ \(.*/, '')}`);

  test('comes upon both races that were measured on the real module', () => {
    expect(histories).toBe(40_000);
    expect(found).toContain('RUNNABLE: no order explains TDG.MEM.PAGE.ACCEPT answering TDX_PAGE_SIZE_MISMATCH|level 0');
    expect(found).toContain('RUNNABLE: TDH.MEM.PAGE.REMOVE stops the platform');
    expect(found).toContain('INITIALIZED: TDH.MEM.PAGE.REMOVE stops the platform');
  });

  test('shrinks each to a history that shows it again', () => {
    for (const { cause, opState, history, calls } of findings) {
      const trouble = new Hunter('1.5', opState).judge(parseHistory(history));
      expect(cause.startsWith(trouble?.symptom ?? 'nothing')).toBe(true);
      expect(trouble?.calls).toEqual(calls);
      expect(calls.length).toBeLessThanOrEqual(8);
    }
  });

  test('finds the same again from the same seed', () => {
    const options = { module: '1.5', seed: 9, runs: 2000 } as const;
    expect(hunt(options)).toEqual(hunt(options));
  });
});

describe('a history', () => {
  const KNOWN: [OpState, string, string | null][] = [
    ['RUNNABLE', 'v0: accept 0 | h0: aug 0 | @v0.0.3>1',
      'no order explains TDG.MEM.PAGE.ACCEPT answering TDX_PAGE_SIZE_MISMATCH|level 0'],
    ['INITIALIZED', 'h0: aug-huge 2 | h1: demote 2 | @h0.0.14>1', 'TDH.MEM.PAGE.DEMOTE stops the platform'],
    ['INITIALIZED', 'h0: aug 0; aug 1; promote 0 | h1: aug 0 | @h0.2.12>1',
      'no order explains TDH.MEM.PAGE.PROMOTE answering TDX_EPT_INVALID_PROMOTE_CONDITIONS|RCX'],
    ['RUNNABLE', 'h0: aug 0; block 0; track 0; remove 0; aug 0 | v0: accept 0; leave 0; accept 0', null],
    ['INITIALIZED', 'h0: aug 0; remove 0; aug-tdr 0; flush 0; reclaim 0; rdmd 0 | h1: promote 0; sept-remove 0', null],
  ];
  test.each(KNOWN)('TD %s, %s: %s', (opState, history, symptom) => {
    expect(new Hunter('1.5', opState).judge(parseHistory(history))?.symptom ?? null).toBe(symptom);
  });
});

test('sept hunt prints one object with --json, and ends with 1 when something was found', async () => {
  const { code, stdout } = await sept('hunt', '--runs', '20000', '--seed', '2', '--json');
  const found = JSON.parse(stdout) as { findings: unknown[]; histories: number };
  expect(found).toMatchObject({ histories: 20_000 });
  expect(found.findings.length).toBeGreaterThan(0);
  expect(code).toBe(1);
  for (const finding of found.findings) {
    expect(finding).toMatchObject({ cause: expect.any(String), calls: expect.any(Array), history: expect.any(String) });
  }
});
