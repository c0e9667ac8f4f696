/** T rules judge a module from outside by its own lock table, functions that it adds included. */
import { describe, expect, test } from 'vitest';
import { defineModule, functionOf, type ModuleChanges } from '../../../impl/index.ts';
import { RuleBook } from '../../../spec/machine/monitor.ts';
import type { Violation } from '../../../spec/machine/rule.ts';
import { HELD_TREE } from '../../../spec/tdx/call.ts';
import { EXCLUSIVE, SHARED } from '../../../spec/tdx/locks.ts';
import type { InterfaceFunction, TdxModule } from '../../../spec/tdx/module.ts';
import { TDX_RULES } from '../../../spec/tdx/rules/index.ts';
import { TdRig } from '../../support/td-rig.ts';

const AUG = functionOf('1.5.05', 'TDH.MEM.PAGE.AUG');

/** PAGE.AUG that takes the tree exclusively, whatever its row says. */
const EXCLUSIVELY: InterfaceFunction = {
  ...AUG,
  run: (tdx, call) => AUG.run(withLocking(tdx, EXCLUSIVE), call),
};
/** PAGE.AUG that shares the tree, whatever its row says. */
const SHARING: InterfaceFunction = {
  ...AUG,
  run: (tdx, call) => AUG.run(withLocking(tdx, SHARED), call),
};

const withLocking = (tdx: TdxModule, tree: typeof SHARED | typeof EXCLUSIVE): TdxModule =>
  // all else is inherited
  Object.create(tdx, { locking: { value: () => ({ tree, entryLock: true }) } }) as TdxModule;

/** A function that no version has. */
const ADDED = 'TDH.EXTRA';

/** Adds a page with a function of a changed module, and returns the violation. */
function violated(
  changes: Omit<ModuleChanges, 'name'>,
  name = 'TDH.MEM.PAGE.AUG',
): Violation | null {
  const rig = new TdRig({ module: defineModule('1.5.05', { name: 'mine', ...changes }) });
  rig.addTables(0);
  const isAdded = name === ADDED;
  // T01 knows the changes of the functions that exist
  const rules = TDX_RULES.filter(({ id }) => !isAdded || id === 'T10');
  const book = new RuleBook(rig.m, rig.tdx, rules);
  rig.must(name, { ...rig.mapping(0, 0), r8: rig.address(rig.pageOf(0)) });
  book.atRest();
  if (rig.m.violation === null) expect(book.timesExercised('T10')).toBeGreaterThan(0);
  return rig.m.violation;
}

describe('T10 on a module from outside', () => {
  const NEEDS_EXCLUSIVE = { 'TDH.MEM.PAGE.AUG': { tree: EXCLUSIVE } } as const;

  test('T10 holds if the functions of the module read their row', () => {
    expect(violated({})).toBeNull();
    expect(violated({ septLocks: NEEDS_EXCLUSIVE })).toBeNull();
  });

  test('T10 holds if a function of the module takes the lock that its row names', () => {
    expect(violated({ septLocks: NEEDS_EXCLUSIVE, functions: EXCLUSIVELY })).toBeNull();
  });

  test('T10 is broken if a function of the module does not take the lock of its row', () => {
    expect(violated({ septLocks: NEEDS_EXCLUSIVE, functions: SHARING })).toMatchObject({
      rule: 'T10',
      seen: 'it does not hold the tree',
    });
  });

  test('T10 judges a function that the module adds by its row', () => {
    const named = { ...SHARING, name: ADDED };
    const row = { entryLock: true } as const;

    expect(
      violated({ functions: named, septLocks: { [ADDED]: { ...row, tree: SHARED } } }, ADDED),
    ).toBeNull();
    expect(
      violated({ functions: named, septLocks: { [ADDED]: { ...row, tree: EXCLUSIVE } } }, ADDED)
        ?.rule,
    ).toBe('T10');
  });

  test('a function that walks without a row is refused with its name and the module', () => {
    expect(() => violated({ functions: { ...AUG, name: ADDED } }, ADDED)).toThrow(
      'septLocks of module mine has no row for TDH.EXTRA',
    );
  });

  test('T09 is broken if a function of the module keeps the tree', () => {
    const release = AUG.release.filter((role) => role !== HELD_TREE);

    expect(violated({ functions: { ...AUG, release } })?.rule).toBe('T09');
  });
});
