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
import { Recorder } from '../../../../properties/module/recordings/generate/record.ts';
import { Universes } from '../../../../properties/module/recordings/universe/universe.ts';
import type { Fixture } from './fixture.ts';
import { recordedJson, testWith } from './recorded.ts';

const SCENARIOS = ['sequential.jsonl.gz', 'lifecycle.jsonl.gz'];
const universes = new Universes();

const linesOf = (path: string): string[] =>
  gunzipSync(readFileSync(path))
    .toString()
    .split('\n')
    .filter((line) => line !== '');

describe('the recorder, given the calls of the real recordings', () => {
  const MOST_SCENARIOS = 60;

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

  const recorder = new CellRecorder('1.5.01');
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

  testWith('conflicts.json', 'the recorder writes the same cells as conflicts.json', () => {
    // testWith has found it
    const { results } = recordedJson('conflicts.json') as { results: Cell[] };
    for (const real of results) {
      const { x, y, relation, opState, xEntry, yEntry } = real;
      const ours = recorder.conflict({ x, y, relation, opState, xEntry, yEntry });
      // the number of locks of a vCPU that only runs is not measured
      if (x.startsWith('('))
        expect({ ...ours, xLocksHeldAtPause: 0 }).toEqual({ ...real, xLocksHeldAtPause: 0 });
      else expect(JSON.stringify(ours)).toBe(JSON.stringify(real));
    }
    expect(results.length).toBeGreaterThan(1000);
  });

  testWith(
    'lifecycle-conflicts.json',
    'the recorder writes the same cells as lifecycle-conflicts.json',
    () => {
      // testWith has found it
      const { results } = recordedJson('lifecycle-conflicts.json') as { results: Stages[] };
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
