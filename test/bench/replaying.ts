/** Measures the replay of recorded calls, from the compressed file to the verdict. */
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { replayFile } from '../../properties/module/recordings/replay/replay.ts';
import { Universes } from '../../properties/module/recordings/universe/universe.ts';
import type { ModuleName } from '../../spec/tdx/versions/index.ts';
import { median, timed } from './measure.ts';

export interface Replaying {
  /** The version that the recording names. */
  readonly module: string;
  /** The recording that was replayed. */
  readonly source: string;
  /** Recorded calls a second: the median of the passes. */
  readonly stepsPerSecond: number;
  readonly steps: number;
  readonly differing: number;
}

/** Recordings of the real modules, which are not in this repository, and what stands for them. */
const REAL = 'recordings of the real module';
const GENERATED = 'generated recordings';
const RECORDINGS: readonly (readonly [ModuleName, string, string])[] = [
  ['1.0.03', REAL, '../../../shared/recordings/tdx-1.0.03/sequential.jsonl.gz'],
  ['1.5.01', REAL, '../../../shared/recordings/tdx/sequential.jsonl.gz'],
  ['1.5.05', REAL, '../../../shared/recordings/tdx-1.5.05/sequential.jsonl.gz'],
  ['1.0.03', GENERATED, '../../recordings/1.0.03/sequential.jsonl.gz'],
  ['1.5.01', GENERATED, '../../recordings/1.5.01/sequential.jsonl.gz'],
  ['1.5.05', GENERATED, '../../recordings/sequential.jsonl.gz'],
];

/** Replays a recording of each version `passes` times: a real one, where there is one. */
export async function replaying(passes: number): Promise<Replaying[]> {
  const measured: Replaying[] = [];
  for (const [module, source, path] of RECORDINGS) {
    const file = fileURLToPath(new URL(path, import.meta.url));
    if (measured.some((earlier) => earlier.module === module) || !existsSync(file)) continue;
    measured.push(await replayingOf(module, source, file, passes));
  }
  return measured;
}

async function replayingOf(
  module: ModuleName,
  source: string,
  file: string,
  passes: number,
): Promise<Replaying> {
  const universes = new Universes(module);
  const rates: number[] = [];
  let totals = { steps: 0, differing: 0 };
  for (let pass = 0; pass < passes; pass++) {
    const { seconds, work } = await timed(() => replayed(file, universes));
    totals = work;
    rates.push(work.steps / seconds);
  }
  return { module, source, stepsPerSecond: median(rates), ...totals };
}

async function replayed(
  file: string,
  universes: Universes,
): Promise<{ steps: number; differing: number }> {
  const totals = { steps: 0, differing: 0 };
  for await (const { steps, differing } of replayFile(file, universes)) {
    totals.steps += steps;
    totals.differing += differing;
  }
  return totals;
}
