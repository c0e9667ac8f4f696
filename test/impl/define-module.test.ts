/** Modules from outside: what defineModule() replaces, and which values it refuses. */
import { describe, expect, test } from 'vitest';
import { defineModule, functionOf, moduleFrom, NoModule } from '../../impl/index.ts';
import { atomically } from '../../spec/machine/step.ts';
import { HELD_TREE } from '../../spec/tdx/call.ts';
import { EXCLUSIVE, SHARED } from '../../spec/tdx/locks.ts';
import type { InterfaceFunction } from '../../spec/tdx/module.ts';
import { SUCCESS } from '../../spec/tdx/status.ts';
import { listsVersion, MODULE_NAMES, versionData } from '../../spec/tdx/versions/index.ts';
import { TdRig } from '../support/td-rig.ts';

const AUG = functionOf('1.5.05', 'TDH.MEM.PAGE.AUG');
const NEWEST = versionData('1.5.05');

describe('what a module replaces', () => {
  test('defineModule() replaces the rows and parts of rows that are given, and no others', () => {
    const { septLocks } = defineModule('1.5.05', {
      name: 'mine',
      septLocks: {
        'TDH.MEM.RANGE.BLOCK': { tree: SHARED },
        'TDG.MEM.PAGE.ACCEPT': { tree: EXCLUSIVE, entryLock: false },
      },
    });

    expect(septLocks).toEqual({
      ...NEWEST.septLocks,
      'TDH.MEM.RANGE.BLOCK': { tree: SHARED, entryLock: true },
      'TDG.MEM.PAGE.ACCEPT': { tree: EXCLUSIVE, entryLock: false },
    });
  });

  test('defineModule() replaces parts of objects, and sets as a whole', () => {
    const module = defineModule('1.5.05', {
      name: 'mine',
      tdcx: { min: 3 },
      interruptible: new Set(['TDH.MEM.RANGE.BLOCK']),
      reporting: null,
    });

    expect(module.tdcx).toEqual({ ...NEWEST.tdcx, min: 3 });
    expect([...module.interruptible]).toEqual(['TDH.MEM.RANGE.BLOCK']);
    expect(module.reporting).toBeNull();
  });

  test.each(MODULE_NAMES)('defineModule() keeps every other field of %s', (base) => {
    const { name: _, ...inherited } = versionData(base);

    expect(defineModule(base, { name: 'mine' })).toEqual({ ...inherited, name: 'mine' });
    expect(defineModule(versionData(base), { name: 'mine' })).toMatchObject(inherited);
  });

  test('defineModule() replaces functions by name, and adds those with a new name', () => {
    const own: InterfaceFunction = { ...AUG, release: [HELD_TREE] };
    const added: InterfaceFunction = { ...AUG, name: 'TDH.EXTRA' };
    const one = defineModule('1.0', { name: 'one', functions: own });
    const two = defineModule('1.0', { name: 'two', functions: [own, added] });

    expect(one.functions.get('TDH.MEM.PAGE.AUG')).toBe(own);
    expect([...one.functions.keys()]).toEqual([...versionData('1.0').functions.keys()]);
    expect(two.functions.get('TDH.EXTRA')).toBe(added);
    expect(two.functions.size).toBe(one.functions.size + 1);
  });

  test('a module gives a row of the lock table to a function that it adds', () => {
    const added: InterfaceFunction = { ...AUG, name: 'TDH.EXTRA' };
    const row = { tree: SHARED, entryLock: true } as const;
    const module = defineModule('1.5.05', {
      name: 'mine',
      functions: added,
      septLocks: { 'TDH.EXTRA': row },
    });

    expect(module.septLocks).toEqual({ ...NEWEST.septLocks, 'TDH.EXTRA': row });
    expect(moduleFrom(module)).toEqual(module);
  });

  test('a module runs the function that replaces another', () => {
    const module = defineModule('1.5.05', {
      name: 'mine',
      functions: {
        ...AUG,
        *run(tdx, call) {
          const status = yield* AUG.run(tdx, call);
          call.r11 = 7;
          return status;
        },
      },
    });
    const rig = new TdRig({ module });
    rig.addTables(0);
    const operands = { ...rig.mapping(0, 0), r8: rig.address(rig.pageOf(0)) };
    const call = atomically(rig.invoke('TDH.MEM.PAGE.AUG', operands));

    expect([call.status, call.r11]).toEqual([SUCCESS, 7]);
  });

  test('a module of a family is named by its own name and by that of the family', () => {
    const module = defineModule('1.5.05', { name: 'mine' });
    const other = defineModule('1.5.05', { name: 'mine', family: 'mine' });

    expect(['mine', '1.5', '1.5.05', '1.0', '*'].map((one) => listsVersion([one], module))).toEqual(
      [true, true, false, false, true],
    );
    expect(listsVersion(['1.5'], other)).toBe(false);
  });
});

describe('what a file may export', () => {
  test('moduleFrom() bases an object with a name on the newest version', () => {
    expect(moduleFrom({ name: 'mine' })).toEqual({ ...NEWEST, name: 'mine' });
  });

  test('moduleFrom() takes a version as it is, if it is complete', () => {
    const spread = { ...versionData('1.0'), name: 'mine' };
    const defined = defineModule('1.0', { name: 'mine' });

    expect(moduleFrom(spread)).toEqual(spread);
    expect(moduleFrom(defined)).toEqual(defined);
    expect(moduleFrom(versionData('1.0'))).toBe(versionData('1.0'));
  });

  test('moduleFrom() takes an instance of a class', () => {
    class Base {
      readonly functions = [AUG];
    }
    class Mine extends Base {
      readonly name = 'mine';
    }

    expect(moduleFrom(new Mine())).toEqual({ ...NEWEST, name: 'mine' });
  });
});

describe('values that are no module', () => {
  const NONE = 'it exports no module: export one as default or as `module`, ';
  test.each<[string, unknown, string]>([
    ['nothing', undefined, `${NONE}e.g. defineModule('1.5.05', { name: 'mine' })`],
    ['a text', '1.5', `${NONE}e.g. defineModule('1.5.05', { name: 'mine' })`],
    ['no name', {}, "the module has no name: add name: 'my-module'"],
    ['a name that is a number', { name: 5 }, "the module has no name: add name: 'my-module'"],
    ['a shipped name', { name: '1.5' }, 'a shipped module has the name 1.5: give this one another'],
    [
      'a name with spaces',
      { name: 'My Module' },
      '"My Module" is no name of a module: give lower-case letters and digits, ' +
        'with hyphens between words',
    ],
  ])('moduleFrom() refuses %s', (_what, value, message) => {
    expect(() => moduleFrom(value)).toThrow(new NoModule(message));
  });

  const ROW = { 'TDH.MEM.PAGE.AUG': { tree: SHARED } };
  test.each<[string, Record<string, unknown>, string]>([
    ['a misspelt field', { septLock: ROW }, 'unknown field "septLock"; did you mean "septLocks"?'],
    ['an unknown field', { colour: 'red' }, 'unknown field "colour"'],
    ['undefined for a number', { maxVcpus: undefined }, 'maxVcpus is undefined, not a number'],
    ['a number for a bigint', { attributes: 3 }, 'attributes is a number, not a bigint'],
    ['a text for an object', { septLocks: 'x' }, 'septLocks is a text, not an object'],
    ['a list for an object', { septLocks: [] }, 'septLocks is a list, not an object'],
    [
      'a misspelt row',
      { septLocks: { 'TDH.MEM.PAGE.AGU': { tree: SHARED } } },
      'unknown row "septLocks.TDH.MEM.PAGE.AGU"; did you mean "TDH.MEM.PAGE.AUG"?',
    ],
    [
      'a row of no function of the Secure EPT',
      { septLocks: { 'TDH.MNG.CREATE': { tree: SHARED } } },
      'unknown row "septLocks.TDH.MNG.CREATE"',
    ],
    [
      'half a row for a function that it adds',
      {
        functions: { ...AUG, name: 'TDH.EXTRA' },
        septLocks: { 'TDH.EXTRA': { tree: SHARED } },
      },
      'septLocks.TDH.EXTRA lacks entryLock',
    ],
    [
      'a misspelt part of a row',
      { septLocks: { 'TDH.MEM.PAGE.AUG': { tre: SHARED } } },
      'unknown field "septLocks.TDH.MEM.PAGE.AUG.tre"; did you mean "tree"?',
    ],
    [
      'a mode that is none',
      { septLocks: { 'TDH.MEM.PAGE.AUG': { tree: 3 } } },
      'septLocks.TDH.MEM.PAGE.AUG.tree is 3, not SHARED, EXCLUSIVE or null',
    ],
    [
      'a mode as text',
      { septLocks: { 'TDH.MEM.PAGE.AUG': { tree: 'shared' } } },
      'septLocks.TDH.MEM.PAGE.AUG.tree is "shared", not SHARED, EXCLUSIVE or null',
    ],
    [
      'a number for true or false',
      { septLocks: { 'TDH.MEM.PAGE.AUG': { entryLock: 1 } } },
      'septLocks.TDH.MEM.PAGE.AUG.entryLock is a number, not true or false',
    ],
    ['a part that is a text', { tdcx: { min: '4' } }, 'tdcx.min is a text, not a number'],
    [
      'a misspelt part of an object',
      { tdcx: { mni: 4 } },
      'unknown field "tdcx.mni"; did you mean "min"?',
    ],
    ['a list for a set', { interruptible: [] }, 'interruptible is a list, not a set'],
    [
      'a text for a function of an object',
      { encoding: { toRaw: 'x' } },
      'encoding.toRaw is a text, not a function',
    ],
    [
      'a function that is a text',
      { functions: 'TDH.MEM.PAGE.AUG' },
      'functions is a text, not a function of the interface: ' +
        "give { name: 'TDH.…', release: […], *run(tdx, call) { … } }",
    ],
    [
      'a function without a name',
      { functions: [AUG, { release: [], *run() {} }] },
      "functions[1] has no name: add name: 'TDH.…', that of the function that it replaces",
    ],
    [
      'a function without run',
      { functions: { name: 'TDH.MEM.PAGE.AUG', release: [] } },
      'function TDH.MEM.PAGE.AUG has no run: write it as a generator, *run(tdx, call) { … }',
    ],
    [
      'a function without release',
      { functions: { name: 'TDH.MEM.PAGE.AUG', *run() {} } },
      'function TDH.MEM.PAGE.AUG: release is no list of roles: give them in the order in which ' +
        'it releases their locks, e.g. [HELD_ENTRY, HELD_TREE]',
    ],
    [
      'a role that is none',
      { functions: { ...AUG, release: [1.5] } },
      'function TDH.MEM.PAGE.AUG: release is no list of roles: give them in the order in which ' +
        'it releases their locks, e.g. [HELD_ENTRY, HELD_TREE]',
    ],
    [
      'a misspelt member of a function',
      { functions: { ...AUG, relase: [] } },
      'function TDH.MEM.PAGE.AUG: unknown member "relase"; did you mean "release"?',
    ],
    [
      'a misspelt function',
      { functions: { ...AUG, name: 'TDH.MEM.PAGE.AGU' } },
      'unknown function "TDH.MEM.PAGE.AGU"; did you mean "TDH.MEM.PAGE.AUG"?',
    ],
    [
      'one function twice',
      { functions: [AUG, AUG] },
      'two of its functions are TDH.MEM.PAGE.AUG: leave one of them',
    ],
    [
      'a complete version with a list of functions',
      { ...versionData('1.0'), functions: [AUG] },
      'functions is a list, not a map: replace some by defineModule(base, { … })',
    ],
  ])('moduleFrom() refuses a module with %s', (_what, change, message) => {
    expect(() => moduleFrom({ ...change, name: 'wrong' })).toThrow(
      new NoModule(`module wrong: ${message}`),
    );
  });

  test('moduleFrom() refuses a base that is no version', () => {
    const versions = `not a version; the versions are ${MODULE_NAMES.join(', ')}`;
    for (const [base, what] of [
      ['1.6', '"1.6"'],
      [{ name: 'mine' }, 'an object'],
    ] as const) {
      expect(() => Reflect.apply(moduleFrom, null, [{ name: 'mine' }, base])).toThrow(
        new NoModule(`module mine: its base is ${what}, ${versions}`),
      );
    }
  });

  test('functionOf() suggests the function that a misspelt name means', () => {
    expect(() => functionOf('1.5.05', 'TDH.MEM.PAGE.AGU')).toThrow(
      new NoModule(
        'module 1.5.05 has no function "TDH.MEM.PAGE.AGU"; did you mean "TDH.MEM.PAGE.AUG"?',
      ),
    );
  });
});
