/**
 * The hunt for races: what is known of the real module comes out of random calls by itself, the
 * histories of docs/findings.md are judged as they say there, and calls one after the other are all
 * explained.
 */
import { describe, expect, test } from 'vitest';
import { parseScenario } from '../../../properties/checker/scenarios/text.ts';
import type { Beginning } from '../../../properties/module/hunt/beginnings.ts';
import { hunt, Hunter, type Trouble } from '../../../properties/module/hunt/hunt.ts';
import { HELD_EPOCH } from '../../../spec/tdx/call.ts';
import { memTrack } from '../../../spec/tdx/functions/index.ts';
import type { InterfaceFunction } from '../../../spec/tdx/module.ts';
import { SUCCESS } from '../../../spec/tdx/status.ts';
import { TD } from '../../../spec/tdx/td.ts';
import { sept } from '../../cli/run.ts';

/** What a history shows; it is decided. */
function troubleOf(state: Beginning, history: string): Trouble | null {
  const trouble = new Hunter('1.5', state).judge(parseScenario(history));
  if (trouble === 'undecided') throw new Error(`${history} is undecided`);
  return trouble;
}

describe('a hunt on module 1.5', () => {
  const { findings, histories, undecided } = hunt({ module: '1.5', seed: 1, runs: 12_000 });
  const known = findings.map((finding) => finding.known);

  test('comes upon both races that were measured on the real module', () => {
    expect({ histories, undecided }).toEqual({ histories: 12_000, undecided: 0 });
    expect(known).toContain('F1');
    expect(
      findings.find(({ cause }) => cause.startsWith('TDH.MEM.PAGE.REMOVE stops the platform'))
        ?.states,
    ).toEqual(['RUNNABLE', 'INITIALIZED']);
  });

  test('comes upon nothing that is not written down', () => {
    expect(findings.filter((finding) => finding.known === null)).toEqual([]);
  });

  test('shrinks each to a history that shows it again', () => {
    for (const { cause, state, states, history, calls } of findings) {
      const trouble = troubleOf(state, history);
      expect(cause.startsWith(trouble?.symptom ?? 'nothing')).toBe(true);
      expect(trouble?.calls).toEqual(calls);
      expect(calls.length).toBeLessThanOrEqual(8);
      expect(states).toContain(state);
    }
  });

  test('finds the same again from the same seed', () => {
    const options = { module: '1.5', seed: 9, runs: 2000 } as const;
    expect(hunt(options)).toEqual(hunt(options));
  });
});

describe('a history', () => {
  const KNOWN: [Beginning, string, string | null][] = [
    [
      'RUNNABLE',
      'v0: accept 0 | h0: aug 0 | @v0.0.3>1',
      'no order explains TDG.MEM.PAGE.ACCEPT answering TDX_PAGE_SIZE_MISMATCH|level 0',
    ],
    [
      'INITIALIZED',
      'h0: aug-huge 2 | h1: demote 2 | @h0.0.14>1',
      'TDH.MEM.PAGE.DEMOTE stops the platform',
    ],
    [
      'INITIALIZED',
      'h0: aug 0; aug 1; promote 0 | h1: aug 0 | @h0.2.12>1',
      'no order explains TDH.MEM.PAGE.PROMOTE answering TDX_EPT_INVALID_PROMOTE_CONDITIONS|RCX',
    ],
    [
      'RUNNABLE',
      'h0: aug 0; block 0; track 0; remove 0; aug 0 | v0: accept 0; leave 0; accept 0',
      null,
    ],
    [
      'INITIALIZED',
      'h0: aug 0; remove 0; aug-tdr 0; flush 0; reclaim 0; rdmd 0 | h1: promote 0; sept-remove 0',
      null,
    ],
    // an interrupt may be pending whenever a call looks for one
    [
      'INITIALIZED',
      'h0: aug-huge 2; demote 2; demote 2 | h1: sept-rd 2 | @h0.1.12>1 @h0.1.0?1',
      null,
    ],
    ['RUNNABLE', 'h0: aug-huge 2 | v0: accept-huge 2; accept-huge 2 | @v0.0.0?1', null],
    // refused for TD_EPOCH, VP.ENTER leaves its vCPU associated
    ['RUNNABLE', 'h0: flush 0; track 0 | v0: idle 0 | @h0.1.5>1', null],
    [
      'BLOCKED',
      'h0: cache-wb 1; cache-wb-resume 1; freeid 0 | h1: cache-wb 1; freeid 0 | @h0.0.4>1 @h0.0.0?1',
      null,
    ],
    [
      'TEARDOWN',
      'h0: reclaim 0; reclaim-tdcx 0; create-of-page 0 | h1: reclaim-tdr 0; create-reclaimed 0 | @h0.0.6>1',
      null,
    ],
    ['UNINITIALIZED', 'h0: addcx 0; init 0; vp-create 0 | h1: addcx 0; init 0 | @h0.0.9>1', null],
  ];
  test.each(KNOWN)('TD %s, %s: %s', (state, history, symptom) => {
    expect(troubleOf(state, history)?.symptom ?? null).toBe(symptom);
  });
});

describe('a module with a mistake', () => {
  const causes = (wrong: InterfaceFunction, runs: number): string[] =>
    hunt({ module: '1.0', functions: [wrong], seed: 1, runs }).findings.map(({ cause }) => cause);

  test('that keeps a lock is found out', () => {
    const keeps = { ...memTrack, release: memTrack.release.filter((role) => role !== HELD_EPOCH) };
    expect(causes(keeps, 1500)).toContain(
      'a lock is left behind: of an S-EPT entry or TD (TDH.MEM.TRACK)',
    );
  });

  test('that changes what it read, without a lock, is found out', () => {
    const unlocked: InterfaceFunction = {
      ...memTrack,
      *run({ m, memory }, { in: { rcx } }) {
        const cell = memory.word(rcx / 4096, TD.TD_EPOCH);
        yield* m.write(cell, (yield* m.read(cell)) + 1);
        return SUCCESS;
      },
    };
    expect(causes(unlocked, 20_000)).toContain('no order ends in that state (TDH.MEM.TRACK)');
  });
});

test('sept hunt prints one object with --json, and ends with 1 when something was found', async () => {
  const { code, stdout } = await sept('hunt', '--runs', '4000', '--seed', '2', '--json');
  const found = JSON.parse(stdout) as { findings: unknown[]; histories: number };
  expect(found).toMatchObject({ histories: 4_000, undecided: 0 });
  expect(found.findings.length).toBeGreaterThan(0);
  expect(code).toBe(1);
  for (const finding of found.findings) {
    expect(finding).toMatchObject({
      cause: expect.any(String),
      calls: expect.any(Array),
      history: expect.any(String),
    });
  }
});
