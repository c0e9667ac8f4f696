/** The known bugs, found by name: every file `b-*.ts` beside this one. */
import { readdirSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import type { Mutant } from './mutant.ts';

const files = readdirSync(fileURLToPath(new URL('.', import.meta.url)))
  .filter((name) => /^b-\d+[a-z0-9-]*\.[jt]s$/.test(name) && !name.endsWith('.d.ts'))
  .toSorted();

/** All of them, in order of their ids. */
export const MUTANTS: readonly Mutant[] = await Promise.all(
  files.map(async (name) => {
    const { default: found } = (await import(`./${name}`)) as { default: Omit<Mutant, 'file'> }; // each is made by mutant()
    return { ...found, file: name };
  }),
);
