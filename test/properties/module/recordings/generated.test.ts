/**
 * The shipped recordings, which `npm run record` generates: replaying them shows no difference, and
 * generating them again gives the same bytes.
 */
import { readFileSync, statSync } from 'node:fs';
import { gunzipSync } from 'node:zlib';
import { describe, expect, test } from 'vitest';
import { ConflictsJudge } from '../../../../properties/module/recordings/conflicts/conflicts.ts';
import {
  parseCell,
  readCells,
  type RecordedCell,
} from '../../../../properties/module/recordings/conflicts/format.ts';
import { GENERATED_FILES } from '../../../../properties/module/recordings/generate/generate.ts';
import { SHIPPED } from '../../../../properties/module/recordings/generate/shipped.ts';
import { replayFile, replayLine } from '../../../../properties/module/recordings/replay/replay.ts';
import { SummaryBuilder } from '../../../../properties/module/recordings/replay/summary.ts';
import { Universes } from '../../../../properties/module/recordings/universe/universe.ts';
import { FUNCTIONS } from '../../../../spec/tdx/functions/index.ts';
import {
  MODULE_VERSIONS,
  nameOf,
  NEWEST_VERSION,
  type ModuleVersion,
} from '../../../../spec/tdx/versions/index.ts';
import { pathOf } from '../../../support/repository.ts';
import type { Fixture } from './fixture.ts';

const FOLDER = pathOf('recordings/');
/** Of the newest module. */
const SCENARIOS = ['sequential.jsonl.gz', 'lifecycle.jsonl.gz'];
const SCENARIO_FILE = /(sequential|lifecycle)\.jsonl\.gz$/;
const PAIR_FILE = /(conflicts|locks)\.json(\.gz)?$|stepwise.*\.jsonl\.gz$/;
const MOST_BYTES = 490_000;

const universes = new Universes();
const judges = new Map<ModuleVersion, ConflictsJudge>();

/** Judges cells of a module. */
const judged = (version: ModuleVersion, cells: readonly RecordedCell[], limit: number) => {
  const judge = judges.get(version) ?? new ConflictsJudge(version);
  judges.set(version, judge);
  return judge.judge(cells, limit);
};

/** The shipped files whose names match, with the module of each. */
const shipped = (pattern: RegExp): [name: string, version: ModuleVersion][] =>
  GENERATED_FILES.filter(([name]) => pattern.test(name)).map(([name]) => [
    name,
    SHIPPED.find(({ folder }) => folder !== '' && name.startsWith(folder))?.version ??
      NEWEST_VERSION,
  ]);

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

describe('the shipped recordings', () => {
  test.each(shipped(SCENARIO_FILE))('replaying %s shows no difference', async (name) => {
    const builder = new SummaryBuilder(5);
    for await (const replayed of replayFile(FOLDER + name, universes)) builder.add(replayed);
    const { scenarios, steps, pairs, differing, differences } = builder.summary;
    console.log(
      `shipped ${name}: ${scenarios} scenarios, ${steps} steps, ` +
        `${pairs.length} (operation, status) pairs`,
    );
    expect(differences).toEqual([]);
    expect(differing).toBe(0);
    expect(steps).toBeGreaterThan(100);
  });

  test.each(shipped(PAIR_FILE))(
    'the specification agrees with every cell of %s',
    async (name, version) => {
      const { cells } = await readCells(FOLDER + name);
      console.log(`shipped ${name}: ${cells.length} cells`);
      const { differing, differences } = judged(version, cells, 5);
      expect(differences).toEqual([]);
      expect(differing).toBe(0);
      expect(cells.length).toBeGreaterThan(20);
    },
  );

  test('there are recordings of each kind, and of each module', () => {
    expect(shipped(PAIR_FILE)).toHaveLength(4 * SHIPPED.length + 1);
    expect(shipped(SCENARIO_FILE)).toHaveLength(2 * SHIPPED.length);
    expect(SHIPPED.map(({ version }) => version).toSorted()).toEqual(MODULE_VERSIONS.toSorted());
  });

  test.each(GENERATED_FILES)('`npm run record` generates %s again, byte by byte', (name, make) => {
    expect(make() === textOf(FOLDER + name), 'run it, and look at the difference').toBe(true);
  });

  test('the shipped recordings are smaller than 490,000 bytes', () => {
    const bytes = GENERATED_FILES.map(([name]) => statSync(FOLDER + name).size);
    expect(bytes.reduce((sum, size) => sum + size, 0)).toBeLessThan(MOST_BYTES);
  });

  test('every scenario names the specification as its module', () => {
    for (const [name, version] of shipped(SCENARIO_FILE)) {
      for (const { id, config } of scenariosOf(FOLDER + name)) {
        expect(id).toMatch(/^own-(seq|life)-\d+$/);
        expect(config['module']).toBe(`this specification, version ${nameOf(version)}`);
      }
    }
  });

  test('every function of the interface succeeds in a scenario, and most fail in one', () => {
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

  test('the scenarios have every kind of TD', () => {
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

describe('an altered recording', () => {
  /** Alters the first step of each operation. Returns those for which replay reports nothing. */
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

  test('replay reports an altered status of every operation', () => {
    expect(
      unnoticed((step) => {
        step['statusName'] = 'TDX_NO_VCPUS_AT_ALL';
        return true;
      }),
    ).toEqual([]);
  });

  test('replay reports an altered output of every operation that has one', () => {
    expect(
      unnoticed((step) => {
        if (step.out?.['rcx'] === undefined) return false;
        step.out['rcx'] = '0x123456789';
        return true;
      }),
    ).toEqual([]);
  });

  test('replay reports an altered entry after every operation about one', () => {
    expect(
      unnoticed((step) => {
        if (step.sept === undefined) return false;
        step.sept['raw'] = '0x1';
        return true;
      }),
    ).toEqual([]);
  });

  test.each(shipped(PAIR_FILE))(
    'the judge reports an altered status in every cell of %s',
    async (name, version) => {
      const { cells } = await readCells(FOLDER + name);
      const rows = cells.filter(({ cell }) => !('summary' in cell));
      const status = 'TDX_NO_VCPUS_AT_ALL';
      const altered = rows.map(({ where, cell }) =>
        parseCell(where, { ...given(cell), yStatus: status, status }),
      );
      const { length } = rows;
      expect(judged(version, altered, 1)).toMatchObject({ cells: length, differing: length });
    },
  );
});

/** The fields of a cell, as in a file: `tdStageY` is absent, not null. */
const given = (cell: RecordedCell['cell']): object =>
  Object.fromEntries(
    Object.entries(cell).filter(([name, value]) => name !== 'tdStageY' || value !== null),
  );
