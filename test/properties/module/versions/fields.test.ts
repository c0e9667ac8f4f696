/** Every field of a version has a row, and a change of it shows. */
import { expect, test } from 'vitest';
import { fieldTexts } from '../../../../properties/module/versions/fields.ts';
import { setOf, MAPPED } from '../../../../spec/tdx/entry.ts';
import { MODULE_VERSIONS, versionData } from '../../../../spec/tdx/versions/index.ts';

const newest = versionData('1.5.05');

test('every field of every version has one row', () => {
  const fields = fieldTexts([newest]).map(({ field }) => field);
  for (const module of MODULE_VERSIONS)
    expect(fields.toSorted(), module).toEqual(Object.keys(versionData(module)).toSorted());
});

test('a field that a version changes differs in its row and in no other', () => {
  const changed = { ...newest, hostPriority: false, mergeable: setOf(MAPPED), maxVcpus: 1 };
  const differing = fieldTexts([newest, changed]).filter(
    ({ values: [before, after] }) => before !== after,
  );
  expect(differing.map(({ field, values }) => [field, ...values])).toEqual([
    ['hostPriority', 'yes', 'no'],
    ['mergeable', 'MAPPED, PENDING', 'MAPPED'],
    ['maxVcpus', '576', '1'],
  ]);
});
