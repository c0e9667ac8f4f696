/**
 * `npm run record`: generates the recordings in recordings/. With `--folder`, `--seed` and
 * `--scenarios` it generates others.
 */
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { gzipSync } from 'node:zlib';
import { Command, InvalidArgumentError, Option } from 'commander';
import { GENERATED_FILES } from '../properties/module/recordings/generate/generate.ts';
import type { Seeds } from '../properties/module/recordings/generate/shipped.ts';
import { makeFolder, writeOutput } from './output-file.ts';
import { print } from './output.ts';
import { runTool } from './tool.ts';

const OWN_FOLDER = fileURLToPath(new URL('../recordings/', import.meta.url));
const COMPRESSION = { level: 9 };

interface Options {
  readonly folder: string;
  readonly seed?: number;
  readonly scenarios: number;
}

function whole(text: string): number {
  const number = Number(text);
  if (!Number.isSafeInteger(number) || number < 0)
    throw new InvalidArgumentError('expected a whole number');
  return number;
}

/** Consecutive seeds; half as many life-cycle scenarios as sequential ones. */
function seedsFrom(first: number, count: number): Seeds {
  const from = (length: number): number[] => Array.from({ length }, (_, i) => first + i);
  return {
    sequential: from(count),
    lifecycle: from(Math.ceil(count / 2)),
    concurrent: from(count),
    pairs: first,
  };
}

function record({ folder, seed, scenarios }: Options): void {
  const seeds = seed === undefined ? undefined : seedsFrom(seed, scenarios);
  for (const [name, make] of GENERATED_FILES) {
    const file = join(folder, name);
    makeFolder(dirname(file)); // before the work
    const text = make(seeds);
    const bytes = name.endsWith('.gz') ? gzipSync(text, COMPRESSION) : Buffer.from(text);
    writeOutput(file, bytes);
    print(`${name}: ${text.split('\n').length - 1} lines, ${bytes.length} bytes`);
  }
}

await runTool(
  new Command('record')
    .description(
      'generate recordings: what this specification does, in the formats that sept replays',
    )
    .option('--folder <path>', 'where to write', OWN_FOLDER)
    .addOption(
      new Option(
        '--seed <number>',
        'first seed (default: the seeds of the recordings in this repository)',
      ).argParser(whole),
    )
    .addOption(
      new Option('--scenarios <number>', 'number of sequential scenarios, with --seed')
        .argParser(whole)
        .default(40),
    )
    .action(record),
);
