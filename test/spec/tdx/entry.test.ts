/** Secure EPT entries: states, locks, and both of their forms. */
import { describe, expect, test } from 'vitest';
import {
  describeEntry,
  entry,
  ENTRY_LOCK,
  FREE,
  fromRaw,
  HOST_PRIORITY,
  isGuestAccessible,
  isLeaf,
  isTable,
  isWalkable,
  MAPPED,
  NL_MAPPED,
  pageOf,
  PENDING,
  permissionsOf,
  stateCode,
  STATES,
  stateName,
  stateOf,
  toArchitectural,
  toRaw,
  withoutLocks,
} from '../../../spec/tdx/entry.ts';
import { septFormat } from '../../../spec/tdx/hardware.ts';
import { TDR, TdRig } from '../../support/td-rig.ts';

const BASE = 0x1_0000_0000n;
const PAGE = 0x200;
const HPA = BASE + 0x20_0000n;
const SUPPRESS_VE = 1n << 63n;

/** Name, raw entry without its page, code in RDX. Source: docs/module-notes.md#entry-states. */
const RAW: readonly (readonly [string, bigint, number])[] = [
  ['FREE', 0x80e0_0000_0000_0000n, 0],
  ['REMOVED', 0x80c0_0000_0000_0000n, 5],
  ['NL_MAPPED', 0x8000_0000_0000_0007n, 132],
  ['NL_BLOCKED', 0x8080_0000_0000_0000n, 129],
  ['MAPPED', 0x8000_0000_0000_00f7n, 4],
  ['BLOCKED', 0x8080_0000_0000_00f0n, 1],
  ['PENDING', 0x8100_0000_0000_00f0n, 2],
  ['PENDING_BLOCKED', 0x8180_0000_0000_00f0n, 3],
  ['BLOCKEDW', 0x8040_0000_0000_00f5n, 8],
  ['EXPORTED_BLOCKEDW', 0x8060_0000_0000_00f5n, 9],
  ['EXPORTED_DIRTY', 0x8020_0000_0000_02f7n, 11],
  ['EXPORTED_DIRTY_BLOCKEDW', 0x8060_0000_0000_02f5n, 12],
  ['PENDING_BLOCKEDW', 0x8140_0000_0000_00f0n, 16],
  ['PENDING_EXPORTED_BLOCKEDW', 0x8160_0000_0000_00f0n, 17],
  ['PENDING_EXPORTED_DIRTY', 0x8120_0000_0000_02f0n, 19],
  ['PENDING_EXPORTED_DIRTY_BLOCKEDW', 0x8160_0000_0000_02f0n, 20],
];

describe('an entry in memory', () => {
  test('STATES lists the sixteen states', () =>
    expect(STATES.map(({ name }) => name)).toEqual(RAW.map(([name]) => name)));

  describe.for(RAW.map((row, state) => [...row, state] as const))(
    '%s',
    ([name, bits, code, state]) => {
      const hasPage = isLeaf(entry(state, 0)) || isTable(entry(state, 0));
      const packed = entry(state, hasPage ? PAGE : 0);
      const raw = hasPage ? bits | HPA : bits;

      test(`${name} converts to its raw value and back`, () => {
        expect(toRaw(packed, BASE)).toBe(raw);
        expect(fromRaw(raw, BASE)).toBe(packed);
        expect([stateName(state), stateCode(state), pageOf(packed)]).toEqual([
          name,
          code,
          hasPage ? PAGE : 0,
        ]);
      });
      test(`${name} has its lock and host-priority bits at 11 and 52`, () => {
        const [lock11, lock52] = [1n << 11n, 1n << 52n];
        const both = [ENTRY_LOCK | HOST_PRIORITY, lock11 | lock52] as const;
        const locks = [[ENTRY_LOCK, lock11], [HOST_PRIORITY, lock52], both] as const;
        for (const [lock, bit] of locks) {
          expect(toRaw(packed | lock, BASE)).toBe(raw | bit);
          expect(fromRaw(raw | bit, BASE)).toBe(packed | lock);
          expect(withoutLocks(packed | lock)).toBe(packed);
        }
      });
      test(`${name} is reported with its architectural bits only`, () => {
        const expected =
          name === 'FREE'
            ? SUPPRESS_VE
            : isLeaf(packed)
              ? SUPPRESS_VE | HPA | (raw & 0xf7n)
              : raw & 7n;
        expect(toArchitectural(packed | ENTRY_LOCK, BASE)).toBe(expected);
      });
      test(`${name} grants the permissions of its bits 2:0`, () => {
        expect(BigInt(permissionsOf(packed))).toBe(raw & 7n);
        expect(isGuestAccessible(packed)).toBe(isLeaf(packed) && (raw & 7n) !== 0n);
        expect(isWalkable(packed)).toBe(name === 'NL_MAPPED');
      });
    },
  );

  test.for([
    ['an unknown state: exported and dirty without D', 0x8020_0000_0000_00f7n | HPA],
    ['a table without permissions', 0x8000_0000_0000_0000n | HPA],
    ['a leaf without suppress-#VE', 0x0000_0000_0000_00f7n | HPA],
    ['a free entry with a page', 0x80e0_0000_0000_0000n | HPA],
    ['a mapped page without permissions', 0x8000_0000_0000_00f0n | HPA],
    ['a leaf with another memory type', 0x8000_0000_0000_00c7n | HPA],
    ['a page below the TDMR', 0x8000_0000_0000_00f7n],
  ] as const)('fromRaw() refuses %s', ([, raw]) => expect(fromRaw(raw, BASE)).toBeNull());

  test('a pending 2M page has its ACCEPT counter in its low page bits, also in RCX', () => {
    const halfway = entry(PENDING, PAGE + 7);
    expect(toRaw(halfway, BASE)).toBe(0x8100_0000_0000_00f0n | HPA | (7n << 12n));
    expect(toArchitectural(halfway, BASE)).toBe(SUPPRESS_VE | 0xf0n | HPA | (7n << 12n));
    expect(fromRaw(toRaw(halfway, BASE), BASE)).toBe(halfway);
  });
});

test('describeEntry() shows state, page and locks', () => {
  expect([
    describeEntry(FREE),
    describeEntry(entry(MAPPED, PAGE), BASE),
    describeEntry(entry(PENDING, 1) | ENTRY_LOCK),
    describeEntry(FREE | HOST_PRIORITY),
  ]).toEqual(['FREE', 'MAPPED 0x100200000', 'PENDING 0x1000 locked', 'FREE +HP']);
});

test('SEPT.RD returns the architectural view in RCX, and level and state code in RDX', () => {
  const rig = new TdRig({ module: '1.5' });
  rig.addTables(0);
  rig.must('TDH.MEM.PAGE.AUG', { ...rig.mapping(0, 0), r8: rig.address(rig.pageOf(0)) });
  const read = (gfn: number, level: number): (bigint | number)[] => {
    const { rcxEntry, rdx } = rig.must('TDH.MEM.SEPT.RD', rig.mapping(gfn, level));
    return [toArchitectural(rcxEntry ?? 0, rig.tdx.base), rdx];
  };
  expect(read(0, 0)).toEqual([
    SUPPRESS_VE | 0xf0n | BigInt(rig.address(rig.pageOf(0))),
    0 | (2 << 8),
  ]);
  expect(read(1, 0)).toEqual([SUPPRESS_VE, 0]);
  expect(read(0, 1)).toEqual([7n, 1 | (132 << 8)]);
});

describe('the hardware walker', () => {
  test('septFormat() maps states to permissions, never sets A or D, and reports tables', () => {
    const rig = new TdRig({ module: '1.5' });
    const touched: number[] = [];
    const format = septFormat(rig.tdx, 3, (page) => touched.push(page));
    format.touch(5);
    expect(touched).toEqual([5]);
    expect([format.rootLevel, format.leafLevel, format.span(1)]).toEqual([3, 0, 2]);
    expect(format.cell(TDR, 3, 1)).toBe(rig.memory.word(TDR, 1));
    expect([format.permissions(entry(MAPPED, 1)), format.permissions(entry(PENDING, 1))]).toEqual([
      7, 0,
    ]);
    expect([format.isLeaf(entry(MAPPED, 1), 0), format.isLeaf(entry(NL_MAPPED, 1), 1)]).toEqual([
      true,
      false,
    ]);
    expect([format.target(entry(MAPPED, 9)), format.isMisconfigured(0, 0)]).toEqual([9, false]);
    expect(format.marked(entry(MAPPED, 9), 0, true)).toBe(entry(MAPPED, 9));
    expect(stateOf(entry(MAPPED, 9))).toBe(MAPPED);
  });
});
