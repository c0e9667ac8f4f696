/**
 * How many events of traces a second are judged by every rule, from the compressed files to the
 * verdicts.
 */
import { existsSync, readdirSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { judgeTraceFile } from '../../properties/traces/files.ts';
import { median, timed } from './measure.ts';
import { peakMemory } from './memory.ts';

export interface Tracing {
  /** What was judged. */
  readonly source: string;
  /** The median of the passes. */
  readonly eventsPerSecond: number;
  readonly events: number;
  readonly violated: number;
  /** Peak of the resident set, in MB. */
  readonly peakMegabytes: number;
}

/** The first that are there are judged: those beside this repository are no part of it. */
const FOLDERS = [
  ['all captures', '../../../shared/recordings/kvm/'],
  ['captures of our own', '../../recordings/traces/'],
] as const;

/** Judges captures so many times. */
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
