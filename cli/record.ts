/**
 * `npm run record`: generates the recordings in recordings/. With `--folder`, `--seed` and
 * `--scenarios` it generates others.
 */
import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { gzipSync } from 'node:zlib';
import { Command, InvalidArgumentError, Option } from 'commander';
import { GENERATED_FILES } from '../properties/module/recordings/generate/generate.ts';
import type { Seeds } from '../properties/module/recordings/generate/shipped.ts';
import { print } from './output.ts';

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

const { folder, seed, scenarios } = new Command('record')
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
  .parse()
  .opts<Options>();

const seeds = seed === undefined ? undefined : seedsFrom(seed, scenarios);
for (const [name, make] of GENERATED_FILES) {
  const text = make(seeds);
  mkdirSync(dirname(join(folder, name)), { recursive: true });
  const bytes = name.endsWith('.gz') ? gzipSync(text, COMPRESSION) : Buffer.from(text);
  writeFileSync(join(folder, name), bytes);
  print(`${name}: ${text.split('\n').length - 1} lines, ${bytes.length} bytes`);
}
