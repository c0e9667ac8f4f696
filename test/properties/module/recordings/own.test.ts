/**
 * The recordings of our own: they come out as they were recorded, they can be made again, and the
 * recorder writes what the recorder of the real module wrote.
 */
import { execFile } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { gunzipSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { ConflictsJudge } from '../../../../properties/module/recordings/conflicts/conflicts.ts';
import {
  parseCell,
  readCells,
  type RecordedCell,
} from '../../../../properties/module/recordings/conflicts/format.ts';
import { parseRecordedScenario } from '../../../../properties/module/recordings/format/scenario.ts';
import {
  isObject,
  type RecordedStep,
} from '../../../../properties/module/recordings/format/step.ts';
import {
  OWN_FILES,
  OWN_SEEDS,
} from '../../../../properties/module/recordings/generate/generate.ts';
import { CellRecorder } from '../../../../properties/module/recordings/generate/record-cells.ts';
import type { Asked } from '../../../../properties/module/recordings/generate/record-step.ts';
import { Recorder } from '../../../../properties/module/recordings/generate/record.ts';
import { replayFile, replayLine } from '../../../../properties/module/recordings/replay/replay.ts';
import { SummaryBuilder } from '../../../../properties/module/recordings/replay/summary.ts';
import { Universes } from '../../../../properties/module/recordings/universe/universe.ts';
import { FUNCTIONS } from '../../../../spec/tdx/functions/index.ts';
import { sept } from '../../../cli/run.ts';
import { pathOf } from '../../../support/repository.ts';
import type { Fixture } from './fixture.ts';
import { recordedJson, testWith } from './recorded.ts';

const FOLDER = pathOf('recordings/');
const SCENARIOS = ['sequential.jsonl.gz', 'lifecycle.jsonl.gz'];
const PAIRS = ['conflicts.json', 'lifecycle-conflicts.json', 'stepwise.jsonl.gz'];
const MOST_BYTES = 400_000;

const universes = new Universes();
const judge = new ConflictsJudge();

const textOf = (path: string): string => {
  const bytes = readFileSync(path);
  return (path.endsWith('.gz') ? gunzipSync(bytes) : bytes).toString();
};
const linesOf = (path: string): string[] =>
  textOf(path)
    .split('\n')
    .filter((line) => line !== '');
const scenariosOf = (path: string): Fixture[] =>
  linesOf(path).map((line) => JSON.parse(line) as Fixture); // ours, and replayed below

describe('recordings of our own', () => {
  test.each(SCENARIOS)('%s replays without a difference', async (name) => {
    const builder = new SummaryBuilder(5);
    for await (const replayed of replayFile(FOLDER + name, universes)) builder.add(replayed);
    const { scenarios, steps, pairs, differing, differences } = builder.summary;
    console.log(
      `own ${name}: ${scenarios} scenarios, ${steps} steps, ${pairs.length} (operation, status) pairs`,
    );
    expect(differences).toEqual([]);
    expect(differing).toBe(0);
    expect(steps).toBeGreaterThan(1000);
  });

  test.each(PAIRS)('every cell of %s comes out the same', async (name) => {
    const cells = await readCells(FOLDER + name);
    console.log(`own ${name}: ${cells.length} cells`);
    const { differing, differences } = judge.judge(cells, 5);
    expect(differences).toEqual([]);
    expect(differing).toBe(0);
    expect(cells.length).toBeGreaterThan(200);
  });

  test.each(OWN_FILES)('%s is what `npm run record` makes', (name, make) => {
    expect(make(OWN_SEEDS) === textOf(FOLDER + name), 'run it, and look at what has changed').toBe(
      true,
    );
  });

  test('are small', () => {
    const bytes = OWN_FILES.map(([name]) => statSync(FOLDER + name).size);
    expect(bytes.reduce((sum, size) => sum + size, 0)).toBeLessThan(MOST_BYTES);
  });

  test('say that they are ours', () => {
    for (const { id, config } of SCENARIOS.flatMap((name) => scenariosOf(FOLDER + name))) {
      expect(id).toMatch(/^own-(seq|life)-\d+$/);
      expect(config['module']).toBe('this specification, version 1.5');
    }
  });

  test('have every function of the interface succeed, and most of them fail', () => {
    const answers = new Map<string, Set<unknown>>();
    for (const { op, statusName } of SCENARIOS.flatMap((name) =>
      scenariosOf(FOLDER + name),
    ).flatMap((s) => s.steps)) {
      const name = String(op);
      answers.set(name, (answers.get(name) ?? new Set()).add(statusName));
    }
    const succeed = [...FUNCTIONS.keys()].filter(
      (name) => answers.get(name)?.has('TDX_SUCCESS') === true,
    );
    expect(succeed).toEqual([...FUNCTIONS.keys()]);
    const neverFail = [...FUNCTIONS.keys()].filter((name) => answers.get(name)?.size === 1);
    expect(neverFail).toEqual(['HW.GUEST.ACCESS', 'TDH.MNG.KEY.RECLAIMID']);
  });

  test('have every kind of TD', () => {
    const configs = scenariosOf(`${FOLDER}sequential.jsonl.gz`).map(({ config }) => config);
    for (const [field, values] of [
      ['septLevels', [4, 5]],
      ['gpaw', [0, 1]],
      ['debug', [0, 1]],
    ] as const) {
      expect([...new Set(configs.map((config) => config[field]))].toSorted()).toEqual(values);
    }
    const lifecycles = scenariosOf(`${FOLDER}lifecycle.jsonl.gz`).map(
      ({ config }) => config['packages'],
    );
    expect([...new Set(lifecycles)].toSorted()).toEqual([1, 2]);
  });
});

describe('a recording of our own that was altered', () => {
  /** Alters the first step of each operation; answers those in which the judge then finds nothing. */
  const unnoticed = (change: (step: Fixture['steps'][number]) => boolean): string[] => {
    const seen = new Set<unknown>();
    const missed: string[] = [];
    for (const scenario of SCENARIOS.flatMap((name) => scenariosOf(FOLDER + name))) {
      const fresh = scenario.steps.filter((step) => !seen.has(step['op']) && change(step));
      const ops = fresh.map((step) => step['op']);
      for (const op of ops) seen.add(op);
      const { differences } = replayLine({ where: scenario.id, value: scenario }, universes);
      for (const [i, step] of fresh.entries()) {
        if (!differences.some((difference) => difference.step === step['i']))
          missed.push(`${String(ops[i])}`);
      }
    }
    expect(seen.size).toBeGreaterThan(10);
    return missed;
  };

  test('in a status: noticed for every operation', () => {
    expect(
      unnoticed((step) => {
        step['statusName'] = 'TDX_NO_VCPUS_AT_ALL';
        return true;
      }),
    ).toEqual([]);
  });

  test('in an output: noticed for every operation that has one', () => {
    expect(
      unnoticed((step) => {
        if (step.out?.['rcx'] === undefined) return false;
        step.out['rcx'] = '0x123456789';
        return true;
      }),
    ).toEqual([]);
  });

  test('in the entry afterwards: noticed for every operation that is about one', () => {
    expect(
      unnoticed((step) => {
        if (step.sept === undefined) return false;
        step.sept['raw'] = '0x1';
        return true;
      }),
    ).toEqual([]);
  });

  test.each(PAIRS)('in what Y answers: noticed in every cell of %s', async (name) => {
    const cells = (await readCells(FOLDER + name)).filter(({ kind }) => kind !== 'summary');
    const yStatus = 'TDX_NO_VCPUS_AT_ALL';
    const altered = cells.map(({ where, cell }) => parseCell(where, { ...given(cell), yStatus }));
    expect(judge.judge(altered, 1)).toMatchObject({ cells: cells.length, differing: cells.length });
  });
});

/** A cell as it was written: no stage of Y's own is then no field. */
const given = (cell: RecordedCell['cell']): object =>
  Object.fromEntries(
    Object.entries(cell).filter(([name, value]) => name !== 'tdStageY' || value !== null),
  );

describe('the recorder, asked what the real module was asked', () => {
  const MOST_SCENARIOS = 60;

  for (const name of SCENARIOS) {
    testWith(name, `writes the same lines as ${name} has`, (path) => {
      const lines = linesOf(path).slice(0, MOST_SCENARIOS);
      for (const line of lines) {
        const real = JSON.parse(line) as Fixture; // parsed properly here
        const { config, steps } = parseRecordedScenario({ where: path, value: real });
        const recorder = new Recorder(config, universes);
        for (const step of steps)
          expect(comparable(recorder.ask(askedBy(step)))).toBe(comparable(step));
        expect(JSON.stringify(recorder.finish(real.id, 0).final)).toBe(JSON.stringify(real.final));
      }
      console.log(`${name}: ${lines.length} scenarios recorded again`);
      expect(lines.length).toBe(MOST_SCENARIOS);
    });
  }

  const recorder = new CellRecorder();
  interface Cell {
    x: string;
    y: string;
    relation: string;
    opState: string;
    xEntry: null;
    yEntry: null;
  }
  interface Stages {
    x: string;
    y: string;
    relation: string;
    tdStageX: string;
    tdStageY?: string;
  }

  testWith('conflicts.json', 'writes the same cells as conflicts.json has', () => {
    const { results } = recordedJson('conflicts.json') as { results: Cell[] }; // testWith has found it
    for (const real of results) {
      const { x, y, relation, opState, xEntry, yEntry } = real;
      const ours = recorder.conflict({ x, y, relation, opState, xEntry, yEntry });
      // of a vCPU that runs, what it holds is only told, and not measured
      if (x.startsWith('('))
        expect({ ...ours, xLocksHeldAtPause: 0 }).toEqual({ ...real, xLocksHeldAtPause: 0 });
      else expect(JSON.stringify(ours)).toBe(JSON.stringify(real));
    }
    expect(results.length).toBeGreaterThan(1000);
  });

  testWith(
    'lifecycle-conflicts.json',
    'writes the same cells as lifecycle-conflicts.json has',
    () => {
      const { results } = recordedJson('lifecycle-conflicts.json') as { results: Stages[] }; // testWith has found it
      for (const real of results) {
        const { x, y, relation, tdStageX, tdStageY = null } = real;
        expect(JSON.stringify(recorder.lifecycle({ x, y, relation, tdStageX, tdStageY }))).toBe(
          JSON.stringify(real),
        );
      }
      expect(results.length).toBeGreaterThan(1000);
    },
  );
});

/** The call that a recorded step made. */
function askedBy({ op, lp, in: input, repeat }: RecordedStep): Asked {
  return { op, lp, in: { ...input }, ...(repeat === undefined ? {} : { repeat }) };
}

/**
 * A step, as text, without what the real recordings leave open: at which level they looked for an
 * entry when the function has none, and what R8 held before the functions that do not touch it.
 */
function comparable(step: RecordedStep): string {
  const hasLevel = step.in.gpa === undefined || step.in.level !== undefined;
  const untold =
    step.op === 'TDH.MEM.SEPT.REMOVE' || step.op === 'TDH.MEM.PAGE.PROMOTE'
      ? { r8: undefined }
      : {};
  const out = isObject(step['out']) ? { out: { ...step['out'], ...untold } } : {};
  return JSON.stringify({
    ...step,
    ...out,
    ...(hasLevel ? {} : { septBefore: undefined, sept: undefined }),
  });
}

describe('npm run record', () => {
  let folder = '';
  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), 'sept-'));
  });
  afterAll(() => rmSync(folder, { recursive: true }));
  const record = (...args: string[]): Promise<{ stdout: string; stderr: string }> =>
    promisify(execFile)(process.execPath, ['--import', 'tsx', pathOf('cli/record.ts'), ...args]);

  test('records other seeds on request, for sept to replay', async () => {
    const { stdout } = await record('--folder', folder, '--seed', '7000', '--scenarios', '3');
    expect(
      stdout
        .split('\n')
        .map((line) => line.replace(/,.*/, ''))
        .slice(0, 2),
    ).toEqual(['sequential.jsonl.gz: 3 lines', 'lifecycle.jsonl.gz: 2 lines']);
    const { code, stdout: replayed } = await sept(
      'replay',
      ...SCENARIOS.map((name) => join(folder, name)),
    );
    expect(replayed).toMatch(/^5 scenarios, \d+ steps, 0 differing\n$/);
    expect(code).toBe(0);
  });

  test('refuses a seed that is none, in one line', async () => {
    await expect(record('--folder', folder, '--seed', 'x')).rejects.toMatchObject({
      code: 1,
      stderr: "error: option '--seed <number>' argument 'x' is invalid. expected a whole number\n",
    });
  });
});
