/** The recorder: it writes what the recorder of the real module wrote for the same calls. */
import { readFileSync } from 'node:fs';
import { gunzipSync } from 'node:zlib';
import { describe, expect } from 'vitest';
import { parseRecordedScenario } from '../../../../properties/module/recordings/format/scenario.ts';
import {
  isObject,
  type RecordedStep,
} from '../../../../properties/module/recordings/format/step.ts';
import { CellRecorder } from '../../../../properties/module/recordings/generate/record-cells.ts';
import type { CallRequest } from '../../../../properties/module/recordings/generate/record-step.ts';
import type { Pair } from '../../../../properties/module/recordings/generate/record-steps.ts';
import { Recorder } from '../../../../properties/module/recordings/generate/record.ts';
import type { LifecyclePairName } from '../../../../properties/module/recordings/setups/lifecycle.ts';
import { Universes } from '../../../../properties/module/recordings/universe/universe.ts';
import type { Fixture } from './fixture.ts';
import { RECORDED_MODULES, recordedJson, testWith } from './recorded.ts';

const SCENARIOS = ['sequential.jsonl.gz', 'lifecycle.jsonl.gz'];
const universes = new Universes();

const linesOf = (path: string): string[] =>
  gunzipSync(readFileSync(path))
    .toString()
    .split('\n')
    .filter((line) => line !== '');

describe('the recorder, given the calls of the real recordings', () => {
  const MOST_SCENARIOS = 60;
  const MOST_LINES = 2000;

  for (const name of SCENARIOS) {
    testWith(name, `the recorder writes the same lines as ${name}`, (path) => {
      const lines = linesOf(path).slice(0, MOST_SCENARIOS);
      for (const line of lines) {
        const real = JSON.parse(line) as Fixture; // parseRecordedScenario checks it
        const { config, steps } = parseRecordedScenario({ where: path, value: real });
        const recorder = new Recorder(config, universes);
        for (const step of steps)
          expect(comparable(recorder.call(requestOf(step)))).toBe(comparable(step));
        expect(JSON.stringify(recorder.finish(real.id, 0).final)).toBe(JSON.stringify(real.final));
      }
      console.log(`${name}: ${lines.length} scenarios recorded again`);
      expect(lines.length).toBe(MOST_SCENARIOS);
    });
  }

  interface Cell extends Pair {
    readonly x: string;
  }
  /** Absent in recordings: Y's stage, and the cases of the functions. */
  type Stages = Omit<LifecyclePairName, 'tdStageY'> & { readonly tdStageY?: string };

  describe.for(RECORDED_MODULES)('module %s', (version) => {
    const recorder = new CellRecorder(version);

    testWith(
      'conflicts.json',
      'the recorder writes the same cells as conflicts.json',
      () => {
        // testWith has found it
        const { results } = recordedJson('conflicts.json', version) as { results: Cell[] };
        for (const real of results) {
          const { x, y, relation, opState, xEntry, yEntry } = real;
          const ours = recorder.conflict({ x, y, relation, opState, xEntry, yEntry });
          // the number of locks of a vCPU that only runs is not measured in 1.5
          const unknown = x.startsWith('(') ? { xLocksHeldAtPause: 0 } : {};
          expect({ ...ours, ...unknown }).toEqual({ ...real, ...unknown });
        }
        expect(results.length).toBeGreaterThan(1000);
      },
      version,
    );

    testWith(
      'lifecycle-conflicts.json',
      'the recorder writes the same cells as lifecycle-conflicts.json',
      () => {
        // testWith has found it
        const { results } = recordedJson('lifecycle-conflicts.json', version) as {
          results: Stages[];
        };
        for (const real of results) {
          const { x, xCase, y, yCase, relation, tdStageX, tdStageY = null } = real;
          const cases = xCase === undefined || yCase === undefined ? {} : { xCase, yCase };
          const ours = recorder.lifecycle({ x, y, ...cases, relation, tdStageX, tdStageY });
          expect(ours).toEqual(real);
        }
        expect(results.length).toBeGreaterThan(500);
      },
      version,
    );
  });

  testWith(
    'stepwise.jsonl.gz',
    'the recorder writes the same lines as stepwise.jsonl of module 1.0.03',
    (path) => {
      const recorder = new CellRecorder('1.0.03');
      const named = (entry: string | null): string | null => (entry === '-' ? null : entry);
      let pairs = 0;
      let rows: string[] = [];
      for (const line of linesOf(path).slice(0, MOST_LINES)) {
        const real = JSON.parse(line) as Cell & { readonly summary?: true };
        const pair = { ...real, xEntry: named(real.xEntry), yEntry: named(real.yEntry) };
        rows.push(sorted(pair));
        if (real.summary !== true) continue; // rows come before the summary of their pair
        const { x, y, relation, opState, xEntry, yEntry } = pair;
        const ours = recorder.steps({ x, y, relation, opState, xEntry, yEntry }) ?? [];
        expect(ours.map(sorted).toSorted(), line).toEqual(rows.toSorted());
        rows = [];
        pairs++;
      }
      expect(pairs).toBeGreaterThan(MOST_LINES / 20);
    },
    '1.0.03',
  );
});

/** JSON with the keys of the object in order. */
const sorted = (value: object): string =>
  JSON.stringify(
    Object.fromEntries(Object.entries(value).toSorted(([a], [b]) => (a < b ? -1 : 1))),
  );

/** The call that a recorded step made. */
function requestOf({ op, lp, in: input, repeat }: RecordedStep): CallRequest {
  return { op, lp, in: { ...input }, ...(repeat === undefined ? {} : { repeat }) };
}

/**
 * A step, as text, without the fields that the real recordings leave open: the level of an entry if
 * the function has none, and R8 after functions that do not write it.
 */
function comparable(step: RecordedStep): string {
  const hasLevel = step.in.gpa === undefined || step.in.level !== undefined;
  const unrecorded =
    step.op === 'TDH.MEM.SEPT.REMOVE' || step.op === 'TDH.MEM.PAGE.PROMOTE'
      ? { r8: undefined }
      : {};
  const out = isObject(step['out']) ? { out: { ...step['out'], ...unrecorded } } : {};
  return JSON.stringify({
    ...step,
    ...out,
    ...(hasLevel ? {} : { septBefore: undefined, sept: undefined }),
  });
}
