/**
 * What the package offers is enough: whatever a shipped policy or rule is made of, one from
 * elsewhere can import.
 */
import { readdirSync } from 'node:fs';
import { expect, test } from 'vitest';
import { POLICIES } from '../../impl/index.ts';
import * as everything from '../../properties/public.ts';
import { pathOf, textOf } from '../support/repository.ts';

const filesOf = (folder: string): string[] =>
  readdirSync(pathOf(folder))
    .filter((name) => name.endsWith('.ts'))
    .map((name) => `${folder}/${name}`);

/** Names that a file imports as values from spec/ or impl/, one by one. */
function importsOf(file: string): string[] {
  const found = textOf(file).matchAll(/^import \{([^}]*)\} from '[^']*\.ts';/gm);
  return [...found]
    .flatMap(([, names = '']) => names.split(','))
    .map((name) => name.trim())
    .filter((name) => name !== '' && !name.startsWith('type '));
}

const POLICY_FILES = filesOf('impl/policies').filter((file) =>
  POLICIES.some(({ name }) => textOf(file).includes(`'${name}'`)),
);

const RULE_FILES = filesOf('properties/rules').filter(
  (file) => !/(index|discovery)\.ts$/.test(file),
);

test.each([...POLICY_FILES, ...RULE_FILES, 'test/properties/rules/faulty.ts'])(
  'what %s imports',
  (file) => {
    expect(importsOf(file).filter((name) => !(name in everything))).toEqual([]);
  },
);
