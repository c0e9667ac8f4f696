/** One rule a file, named by its id and by what it is about, in each judge's folder. */
import { readdirSync } from 'node:fs';
import { basename } from 'node:path';
import { describe, expect, test } from 'vitest';
import { SYSTEM_RULES } from '../../properties/rules/index.ts';
import { TDX_TRACE_RULE_IDS, TRACE_RULE_IDS } from '../../properties/traces/rules/index.ts';
import { KVM_RULES } from '../../spec/kvm/rules/index.ts';
import { FAULTS } from '../../spec/machine/faults.ts';
import type { RuleText } from '../../spec/machine/rule.ts';
import { TDX_RULES } from '../../spec/tdx/rules/index.ts';
import { pathOf } from '../support/repository.ts';

/** Characters of a sentence in a report. */
const LONGEST = 160;

interface Folder {
  readonly name: string;
  /** Ids of the rules that the folder's index.ts lists. */
  readonly ids: readonly string[];
  /** The rules' texts, where the folder has them. */
  readonly texts: readonly RuleText[];
}

const idsOf = (rules: readonly RuleText[]): string[] => rules.map(({ id }) => id);

const FOLDERS: readonly Folder[] = [
  { name: 'spec/kvm/rules', ids: idsOf(KVM_RULES), texts: KVM_RULES },
  { name: 'spec/tdx/rules', ids: idsOf(TDX_RULES), texts: TDX_RULES },
  { name: 'properties/rules', ids: idsOf(SYSTEM_RULES), texts: SYSTEM_RULES },
  // their monitors have the texts of spec/kvm/rules and properties/rules
  { name: 'properties/traces/rules', ids: [...TRACE_RULE_IDS, ...TDX_TRACE_RULE_IDS], texts: [] },
];

/** `K2` as file names have it: `k02`. */
const padded = (id: string): string => `${id[0]?.toLowerCase()}${id.slice(1).padStart(2, '0')}`;

const RULE_FILE = /^[kst]\d\d-.*\.ts$/;

/** Files of rules in a folder, without their extension. */
const ruleFilesIn = (folder: string): string[] =>
  readdirSync(pathOf(folder))
    .filter((name) => RULE_FILE.test(name))
    .map((name) => basename(name, '.ts'));

/** Id of the rule, or of the first of several monitors of one rule, that a file exports. */
async function idIn(folder: string, file: string): Promise<string> {
  const path = pathOf(`${folder}/${file}.ts`);
  const loaded = (await import(/* @vite-ignore */ path)) as {
    readonly default: { readonly id: string } | readonly [{ readonly id: string }];
  }; // what the test is about
  const exported = loaded.default;
  return 'id' in exported ? exported.id : exported[0].id;
}

describe.each(FOLDERS)('$name', ({ name, ids }) => {
  const files = ruleFilesIn(name);

  test("a file's name begins with the id of its rule, which the index lists", async () => {
    for (const file of files) {
      const id = await idIn(name, file);
      expect(file.slice(0, 3), file).toBe(padded(id));
      expect(ids, `the rules that ${name}/index.ts lists`).toContain(id);
    }
  });

  test('every rule that the index lists has a file', () => {
    const named = new Set(files.map((file) => file.slice(0, 3)));
    expect(ids.map(padded).filter((id) => !named.has(id))).toEqual([]);
  });

  test('the index lists its rules in order of their ids', () => {
    expect(ids).toEqual(ids.toSorted((a, b) => padded(a).localeCompare(padded(b))));
  });
});

test.each([...FAULTS, ...FOLDERS.flatMap(({ texts }) => texts)])(
  '$id has an intent and a hint, of two lines at most',
  ({ intent = '', hint = '' }) => {
    for (const sentence of [intent, hint]) {
      expect(sentence).toMatch(/^[A-Z].*[.?]$/);
      expect(sentence.length, sentence).toBeLessThanOrEqual(LONGEST);
    }
  },
);

test('a rule has the same file name in the folder of each judge', () => {
  const names = new Map<string, Set<string>>();
  for (const { name } of FOLDERS) {
    for (const file of ruleFilesIn(name)) {
      const id = file.slice(0, 3);
      names.set(id, (names.get(id) ?? new Set()).add(file));
    }
  }
  expect([...names.values()].filter((files) => files.size > 1).map((files) => [...files])).toEqual(
    [],
  );
});
