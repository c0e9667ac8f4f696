/** Policies and known bugs are found by their files. */
import { readdirSync } from 'node:fs';
import { basename } from 'node:path';
import { describe, expect, test } from 'vitest';
import * as impl from '../../impl/index.ts';
import { MUTANTS } from '../../impl/mutants/index.ts';
import { POLICY_GROUPS, type Breach } from '../../impl/vm/policy.ts';
import { listsVersion, NEWEST_VERSION } from '../../spec/tdx/versions/index.ts';
import { pathOf } from '../support/repository.ts';

const { POLICIES } = impl;

const isOfNewest = ({ versions = ['*'] }: Breach): boolean =>
  listsVersion(versions, NEWEST_VERSION);

const filesIn = (folder: string): string[] =>
  readdirSync(pathOf(folder))
    .map((name) => basename(name, '.ts'))
    .filter((name) => name !== 'index');

describe('impl/policies', () => {
  test('every file of impl/policies is a policy whose name is the name of the file', () => {
    expect(POLICIES.map(({ name }) => name).toSorted()).toEqual(
      filesIn('impl/policies').toSorted(),
    );
  });

  test('a policy that the entry point exports by name is the object in POLICIES', () => {
    const exported = Object.values(impl).filter(
      (value) => typeof value === 'object' && value !== null && 'removeTable' in value,
    );
    const found = new Set<unknown>(POLICIES);

    expect(exported.length).toBeGreaterThan(30);
    expect(exported.filter((policy) => !found.has(policy))).toEqual([]);
  });

  test('POLICIES is sorted by group, and by name within a group', () => {
    const places = POLICIES.map(
      ({ group, name }) => [POLICY_GROUPS.findIndex((one) => one === group), name] as const,
    );

    expect(places).toEqual(
      places.toSorted(([a, one], [b, other]) => a - b || (one < other ? -1 : 1)),
    );
    expect(places.filter(([place]) => place < 0)).toEqual([]);
  });

  test('the first three groups pass on the newest module, the others break a rule', () => {
    const passing = POLICY_GROUPS.slice(0, 3);

    for (const { breaks, group, name } of POLICIES) {
      if (!passing.some((one) => one === group)) expect(breaks, name).not.toEqual([]);
      else expect(breaks.filter(isOfNewest), name).toEqual([]);
    }
  });
});

test('every file b-*.ts of impl/mutants is a known bug, and its name begins with the id', () => {
  const names = filesIn('impl/mutants').filter((name) => name !== 'mutant');

  expect(MUTANTS.map(({ file }) => basename(file, '.ts'))).toEqual(names.toSorted());
  for (const { id, file, policy } of MUTANTS) {
    expect(file.startsWith(`${id.toLowerCase()}-`), file).toBe(true);
    expect(policy.name).toBe(id.toLowerCase());
  }
});
