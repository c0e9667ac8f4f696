/**
 * The hunt for races of the module: random calls lead to all that is known of the real module and
 * to nothing new, and a hunt of a faulty module meets its fault.
 */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { formatScenario, parseScenario } from '../../../properties/checker/scenarios/text.ts';
import { HuntArbitrary } from '../../../properties/module/hunt/arbitrary.ts';
import { BEGINNINGS, type Beginning } from '../../../properties/module/hunt/beginnings.ts';
import { hunt } from '../../../properties/module/hunt/hunt.ts';
import { Hunter, type Anomaly } from '../../../properties/module/hunt/hunter.ts';
import { plansOf } from '../../../properties/module/hunt/programs.ts';
import { HELD_EPOCH } from '../../../spec/tdx/call.ts';
import { memTrack } from '../../../spec/tdx/functions/index.ts';
import type { InterfaceFunction } from '../../../spec/tdx/module.ts';
import { SUCCESS } from '../../../spec/tdx/status.ts';
import { TD } from '../../../spec/tdx/td.ts';
import { versionData } from '../../../spec/tdx/versions/index.ts';
import { sept } from '../../cli/run.ts';

/** The anomaly of a scenario. @throws Error if it is undecided */
function anomalyOf(beginning: Beginning, scenario: string): Anomaly | null {
  const anomaly = new Hunter('1.5', beginning).judge(parseScenario(scenario));
  if (anomaly === 'undecided') throw new Error(`${scenario} is undecided`);
  return anomaly;
}

describe('a hunt on module 1.5', () => {
  const { causes, scenarios, undecided, exercised } = hunt({
    module: '1.5',
    seed: 1,
    runs: 24_000,
  });

  test('the hunt meets both races that were measured on the real module', () => {
    expect({ scenarios, undecided }).toEqual({ scenarios: 24_000, undecided: 0 });
    expect(causes.map(({ finding }) => finding)).toContain('F1');
    const f2 = causes.find(({ title }) =>
      title.startsWith('TDH.MEM.PAGE.REMOVE stops the platform'),
    );
    expect(f2?.beginnings).toEqual(expect.arrayContaining(['RUNNABLE', 'INITIALIZED']));
  });

  test('the hunt meets races of debug TDs, and of two TDs that hand over pages', () => {
    const findings = causes.map(({ finding }) => finding);
    for (const finding of ['F6', 'F13', 'F14', 'F15']) expect(findings).toContain(finding);
  });

  test('the hunt meets the late stamp of RANGE.BLOCK in a TD with pending pages', () => {
    const found = hunt({ module: '1.5', seed: 1, runs: 10_000, beginnings: ['RUNNABLE-pending'] });
    expect(found.causes.map(({ finding }) => finding)).toContain('F16');
  });

  test('the hunt meets no cause that docs/findings.md does not have', () => {
    expect(causes.filter(({ finding }) => finding === null)).toEqual([]);
  });

  test('the hunt calls every function of the module, and each of them succeeds', () => {
    expect(exercised.beginnings.map(([name]) => name).toSorted()).toEqual(BEGINNINGS.toSorted());
    expect(exercised.beginnings.reduce((sum, [, count]) => sum + count, 0)).toBe(24_000);
    expect(exercised.calls.filter(({ succeeded }) => succeeded === 0)).toEqual([]);
    for (const { called, succeeded, busy } of exercised.calls)
      expect(called).toBeGreaterThanOrEqual(succeeded + busy);
  });

  test('the shrunk scenario of each cause shows the same symptom and the same calls', () => {
    for (const { title, beginning, beginnings, scenario, calls } of causes) {
      const anomaly = anomalyOf(beginning, scenario);
      expect(title.startsWith(anomaly?.symptom ?? 'nothing')).toBe(true);
      expect(anomaly?.calls).toEqual(calls);
      // a TD that is torn down and created again takes thirty calls by itself
      expect(calls.length).toBeLessThanOrEqual(scenario.includes('start-over') ? 60 : 12);
      expect(beginnings).toContain(beginning);
    }
  });

  test('two hunts from one seed have the same result', () => {
    const options = { module: '1.5', seed: 9, runs: 2000 } as const;
    expect(hunt(options)).toEqual(hunt(options));
  });

  test('a hunt with one beginning and three actors runs no other scenarios', () => {
    const { exercised: some } = hunt({
      module: '1.5',
      seed: 1,
      runs: 500,
      beginnings: ['TEARDOWN-and-RUNNABLE'],
      actors: 3,
    });
    expect(some.beginnings).toEqual([['TEARDOWN-and-RUNNABLE', 500]]);
    const drawn = fc.sample(
      new HuntArbitrary(
        3,
        plansOf(versionData('1.5')).flatMap(({ shapes }) => shapes),
      ),
      200,
    );
    expect(new Set(drawn.map(({ actors }) => actors.length))).toEqual(new Set([3]));
  });
});

describe('a hunt on module 1.0.03', () => {
  const { causes, exercised } = hunt({ module: '1.0.03', seed: 1, runs: 24_000 });

  test('the hunt meets the races that module 1.0.03 has, and no cause without a finding', () => {
    const findings = [...new Set(causes.map(({ finding }) => finding))].toSorted();
    expect(findings).toEqual(expect.arrayContaining(['F13', 'F14', 'F18']));
    // tree and entry exclude each other's functions there
    for (const absent of [null, 'F1', 'F2', 'F5', 'F6', 'F15'])
      expect(findings).not.toContain(absent);
  });

  test('the hunt calls every function of the module, and each of them succeeds', () => {
    expect(exercised.calls.filter(({ succeeded }) => succeeded === 0)).toEqual([]);
  });
});

test('the preemption of a drawn scenario is moved into its operation, whatever its length', () => {
  const hunter = new Hunter('1.5', 'RUNNABLE');
  for (const [place, text] of [
    [0, 'h0: aug 0 | h1: remove 0 | @h0.0.1>1'],
    [255, /^h0: aug 0 \| h1: remove 0 \| @h0\.0\.(1[5-9]|2\d)>1$/],
  ] as const) {
    const drawn = parseScenario(`h0: aug 0 | h1: remove 0 | @h0.0.${place}>1`);
    const { scenario, verdict } = hunter.judgeDrawn(drawn);
    expect(formatScenario(scenario)).toMatch(text);
    expect(verdict).toEqual(hunter.judge(scenario));
  }
  // a refused call has few steps, though others of its name have many
  const { scenario } = hunter.judgeDrawn(parseScenario('h0: aug 4 | h1: track 0 | @h0.0.255>1'));
  expect(hunter.judge(scenario)).toBeNull();
  expect(hunter.calls[0]?.name).toBe('TDH.MEM.TRACK');
});

describe('a single scenario', () => {
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
    // an interrupt can be pending at any check
    [
      'INITIALIZED',
      'h0: aug-huge 2; demote 2; demote 2 | h1: sept-rd 2 | @h0.1.12>1 @h0.1.0?1',
      null,
    ],
    ['RUNNABLE', 'h0: aug-huge 2 | v0: accept-huge 2; accept-huge 2 | @v0.0.0?1', null],
    // VP.ENTER that is refused for TD_EPOCH leaves its vCPU associated
    ['RUNNABLE', 'h0: flush 0; track 0 | v0: idle 0 | @h0.1.5>1', null],
    [
      'BLOCKED',
      'h0: cache-wb 1; cache-wb-resume 1; freeid 0 | h1: cache-wb 1; freeid 0 | ' +
        '@h0.0.4>1 @h0.0.0?1',
      null,
    ],
    [
      'TEARDOWN',
      'h0: reclaim 0; reclaim-tdcx 0; create-of-page 0 | ' +
        'h1: reclaim-tdr 0; create-reclaimed 0 | @h0.0.6>1',
      null,
    ],
    ['UNINITIALIZED', 'h0: addcx 0; init 0; vp-create 0 | h1: addcx 0; init 0 | @h0.0.9>1', null],
  ];
  test.each(KNOWN)('TD %s, scenario %s: the symptom is %s', (beginning, scenario, symptom) => {
    expect(anomalyOf(beginning, scenario)?.symptom ?? null).toBe(symptom);
  });
});

describe('a hunt on a module with dynamic PAMT', () => {
  const { causes, exercised } = hunt({
    module: 'dynamic-pamt',
    seed: 1,
    runs: 20_000,
    beginnings: ['INITIALIZED'],
  });

  test('the hunt meets nothing new but the count that PAMT.REMOVE finds too high', () => {
    const symptoms = causes.filter(({ finding }) => finding === null).map(({ title }) => title);
    expect(new Set(symptoms.map((title) => title.split(' (')[0]))).toEqual(
      new Set(['TDH.PHYMEM.PAMT.REMOVE stops the platform']),
    );
  });

  test('the hunt calls PAMT.ADD and PAMT.REMOVE, and they succeed, fail and are refused', () => {
    const calls = exercised.calls.filter(({ name }) => name.includes('PAMT'));
    expect(calls).toHaveLength(2);
    for (const { called, succeeded, busy } of calls) {
      expect(succeeded).toBeGreaterThan(0);
      expect(busy).toBeGreaterThan(0);
      expect(called).toBeGreaterThan(succeeded + busy);
    }
  });
});

describe('a hunt on a faulty module', () => {
  /** The titles of the causes that have no finding. */
  const titles = (faulty: InterfaceFunction, runs: number): string[] =>
    hunt({ module: '1.5', functions: [faulty], seed: 1, runs, beginnings: ['RUNNABLE'] })
      .causes.filter(({ finding }) => finding === null)
      .map(({ title }) => title);

  test('the hunt reports a TRACK that keeps a lock', () => {
    const keeps = { ...memTrack, release: memTrack.release.filter((role) => role !== HELD_EPOCH) };
    expect(titles(keeps, 1500)).toContain(
      'a lock is left behind: S-EPT entry or TD (TDH.MEM.TRACK)',
    );
  });

  test('the hunt reports a TRACK that changes the epoch without a lock', () => {
    const unlocked: InterfaceFunction = {
      ...memTrack,
      *run({ m, memory }, { in: { rcx } }) {
        const cell = memory.word(rcx / 4096, TD.TD_EPOCH);
        yield* m.write(cell, (yield* m.read(cell)) + 1);
        return SUCCESS;
      },
    };
    expect(titles(unlocked, 20_000)).toContain('no order ends in that state (TDH.MEM.TRACK)');
  });
});

describe('sept hunt', () => {
  test('sept hunt --json prints one object, and exits with 0 without a new cause', async () => {
    const { code, stdout } = await sept('hunt', '--runs', '4000', '--seed', '2', '--json');
    const found = JSON.parse(stdout) as { findings: unknown[] };
    expect(found).toMatchObject({ histories: 4_000, undecided: 0 });
    expect(found).toMatchObject({ exercised: { beginnings: expect.any(Object) } });
    expect(found.findings.length).toBeGreaterThan(0);
    expect(code).toBe(0);
    for (const finding of found.findings) {
      expect(finding).toMatchObject({
        cause: expect.any(String),
        calls: expect.any(Array),
        history: expect.any(String),
      });
    }
  });

  test('sept hunt prints what it has exercised, and what not', async () => {
    const options = ['--runs', '40', '--begin', 'HKID_ASSIGNED', '--actors', '2'];
    const { code, stdout } = await sept('hunt', ...options);
    expect(code).toBe(0);
    expect(stdout).toMatch(
      /^module 1\.5\.05, seed 1: 40 scenarios, calls overlap in \d\d, 0 are undecided\n/,
    );
    expect(stdout).toContain('clean of unknown causes');
    expect(stdout).toMatch(/^HKID_ASSIGNED +40$/m);
    expect(stdout).toMatch(/^TDH\.MNG\.KEY\.CONFIG +\d+ +\d+ +\d+$/m);
    expect(stdout).toMatch(/^never called: .*TDG\.MEM\.PAGE\.ACCEPT/m);
    expect(stdout).toMatch(/^never succeeded: .*TDH\.MNG\.RD/m);
  });

  test('sept hunt prints the command that shows each cause again', async () => {
    const { stdout } = await sept('hunt', '--runs', '3000', '--begin', 'RUNNABLE-and-RUNNABLE');
    const [, begin = '', scenario = ''] = /--begin (\S+) '(.*hand-over.*)'/.exec(stdout) ?? [];
    const again = await sept('hunt', '--begin', begin, scenario);
    expect(again.code).toBe(0);
    expect(again.stdout).toMatch(/^F13: TDH\.MEM\.(RD|WR) stops the platform$/m);
    expect(again.stdout).toMatch(/^h\d: TDH\.MEM\.(RD|WR) MODULE_HALT$/m);
  });

  test('sept hunt with a scenario prints its answers if an order explains them', async () => {
    const { code, stdout } = await sept('hunt', 'h0: aug 0 | h1: track 0', '--json');
    expect(code).toBe(0);
    expect(JSON.parse(stdout)).toEqual({
      module: '1.5.05',
      begin: 'RUNNABLE',
      calls: ['h0: TDH.MEM.PAGE.AUG TDX_SUCCESS', 'h1: TDH.MEM.TRACK TDX_SUCCESS'],
      symptom: null,
      finding: null,
    });
  });

  test('sept hunt names the operation that it does not have', async () => {
    const { code, stderr } = await sept('hunt', 'h0: readd 0');
    expect(code).toBe(2);
    expect(stderr).toContain('no operation "readd"; did you mean "read"?');
  });

  test('sept hunt has the calls about PAMT pages only where PAMT is dynamic', async () => {
    const scenario = ['h0: aug 0; remove 0 | h1: pamt-remove 0 | @h0.1.15>1', '--begin'];
    const found = await sept('hunt', ...scenario, 'INITIALIZED', '--module', 'dynamic-pamt');
    expect(found.code).toBe(1);
    expect(found.stdout).toContain('new: TDH.PHYMEM.PAMT.REMOVE stops the platform');
    const refused = await sept('hunt', ...scenario, 'INITIALIZED');
    expect(refused.code).toBe(2);
    expect(refused.stderr).toContain('no operation "pamt-remove"');
  });
});
