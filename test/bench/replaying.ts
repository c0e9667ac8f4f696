/** Measures the replay of recorded calls, from the compressed file to the verdict. */
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { replayFile } from '../../properties/module/recordings/replay/replay.ts';
import { Universes } from '../../properties/module/recordings/universe/universe.ts';
import { median, timed } from './measure.ts';

export interface Replaying {
  /** The recording that was replayed. */
  readonly source: string;
  /** Recorded calls a second: the median of the passes. */
  readonly stepsPerSecond: number;
  readonly steps: number;
  readonly differing: number;
}

/** The first that exists is replayed: those of the real module are not in this repository. */
const RECORDINGS = [
  ['recordings of the real module', '../../../shared/recordings/tdx/sequential.jsonl.gz'],
  ['generated recordings', '../../recordings/sequential.jsonl.gz'],
] as const;

/** Replays a recording `passes` times; null if there is none. */
export async function replaying(passes: number): Promise<Replaying | null> {
  for (const [source, path] of RECORDINGS) {
    const file = fileURLToPath(new URL(path, import.meta.url));
    if (existsSync(file)) return replayingOf(source, file, passes);
  }
  return null;
}

async function replayingOf(source: string, file: string, passes: number): Promise<Replaying> {
  const universes = new Universes();
  const rates: number[] = [];
  let totals = { steps: 0, differing: 0 };
  for (let pass = 0; pass < passes; pass++) {
    const { seconds, work } = await timed(() => replayed(file, universes));
    totals = work;
    rates.push(work.steps / seconds);
  }
  return { source, stepsPerSecond: median(rates), ...totals };
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
