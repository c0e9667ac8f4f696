/** The known bugs: every file `b-*.ts` beside this one is a mutant, named by its id. */
import { defaultExportsIn } from '../found-by-file.ts';
import type { Mutant } from './mutant.ts';

const found = await defaultExportsIn<Omit<Mutant, 'file'>>(
  new URL('.', import.meta.url),
  /^b-\d+[a-z0-9-]*$/,
);

/** All of them, in order of their ids. */
export const MUTANTS: readonly Mutant[] = [...found].map(([name, mutant]) => ({
  ...mutant,
  file: `${name}.ts`,
}));
