/** Measures the judging of traces by every rule, from the compressed files to the verdicts. */
import { existsSync, readdirSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { judgeTraceFile } from '../../properties/traces/files.ts';
import { median, timed } from './measure.ts';
import { peakMemory } from './memory.ts';

export interface Tracing {
  /** The traces that were judged. */
  readonly source: string;
  /** The median of the passes. */
  readonly eventsPerSecond: number;
  readonly events: number;
  readonly violated: number;
  /** Peak of the resident set, in MB. */
  readonly peakMegabytes: number;
}

/** The first folder that exists is judged. The first in the list is beside this repository. */
const FOLDERS = [
  ['all captures', '../../../shared/recordings/kvm/'],
  ['shipped captures', '../../recordings/traces/'],
] as const;

/** Judges the captures `passes` times. */
export async function tracing(passes: number): Promise<Tracing> {
  const folders = FOLDERS.map(
    ([source, path]) => [source, fileURLToPath(new URL(path, import.meta.url))] as const,
  );
  const [source, folder] = folders.find(([, path]) => existsSync(path)) ?? ['none', ''];
  const files =
    folder === ''
      ? []
      : readdirSync(folder)
          .filter((name) => name.endsWith('.gz'))
          .map((name) => folder + name);
  const rates: number[] = [];
  let totals = { events: 0, violated: 0 };
  for (let pass = 0; pass < passes; pass++) {
    const { seconds, work } = await timed(() => judged(files));
    totals = work;
    rates.push(work.events / seconds);
  }
  return {
    source,
    eventsPerSecond: median(rates),
    peakMegabytes: await peakMemory(files),
    ...totals,
  };
}

async function judged(files: readonly string[]): Promise<{ events: number; violated: number }> {
  const totals = { events: 0, violated: 0 };
  for (const file of files) {
    // oxlint-disable-next-line no-await-in-loop -- one after the other, as the command does
    const { events, violated } = await judgeTraceFile(file, {});
    totals.events += events;
    totals.violated += violated;
  }
  return totals;
}
