/** How many recorded calls a second are replayed and compared, from the compressed file to the verdict. */
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { sequentialScenario } from '../../properties/recordings/generate-sequential.ts';
import { replayFile, replayLine, type Replayed } from '../../properties/recordings/replay.ts';
import { Universes } from '../../properties/recordings/universe.ts';
import { median, timed } from './measure.ts';

export interface Replaying {
  /** What was replayed. */
  readonly source: string;
  /** Recorded calls a second: the median of the passes. */
  readonly stepsPerSecond: number;
  readonly steps: number;
  readonly differing: number;
}

const RECORDING = new URL('../../../shared/recordings/tdx/sequential.jsonl.gz', import.meta.url);
/** Scenarios of our own, when the recordings of the real module are not there. */
const OWN_SCENARIOS = 60;

/** Replays so many times; the recordings of the real module where they are, else scenarios of our own. */
export async function replaying(passes: number): Promise<Replaying> {
  const file = fileURLToPath(RECORDING);
  const isThere = existsSync(file);
  const source = isThere ? 'sequential.jsonl.gz of the real module' : 'scenarios of our own';
  const replay = isThere ? (universes: Universes) => replayFile(file, universes) : ownReplays();
  const rates: number[] = [];
  let steps = 0;
  let differing = 0;
  const universes = new Universes();
  for (let pass = 0; pass < passes; pass++) {
    const { seconds, work } = await timed(() => totals(replay(universes)));
    ({ steps, differing } = work);
    rates.push(steps / seconds);
  }
  return { source, stepsPerSecond: median(rates), steps, differing };
}

async function totals(replays: AsyncIterable<Replayed> | Iterable<Replayed>): Promise<{ steps: number; differing: number }> {
  let steps = 0;
  let differing = 0;
  for await (const replayed of replays) {
    steps += replayed.steps;
    differing += replayed.differing;
  }
  return { steps, differing };
}

/** Writes scenarios of our own down, and answers what parses and replays them. */
function ownReplays(): (universes: Universes) => Iterable<Replayed> {
  const lines: string[] = [];
  const writer = new Universes();
  for (let seed = 1; seed <= OWN_SCENARIOS; seed++) lines.push(JSON.stringify(sequentialScenario(seed, writer)));
  return function* (universes) {
    for (const [at, line] of lines.entries()) {
      yield replayLine({ where: `scenario ${at}`, value: JSON.parse(line) as unknown }, universes);
    }
  };
}
