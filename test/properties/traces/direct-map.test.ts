/** Where a kernel maps physical memory: judgeTrace infers it, and judges alike wherever it is. */
import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { judgeTrace } from '../../../properties/traces/judge.ts';
import { ownLines, without } from './captures.ts';

const WITHOUT_KASLR = 0xffff_8880_0000_0000n;
/** Addresses of the direct map without KASLR, in kernels with at most 64 GiB. */
const MAPPED = /(?<=\b0x|[ :])ffff888[0-9a-f]{9}\b/gu;
const GIB = 1n << 30n;

/** The lines of a kernel that maps physical memory at another address. */
const movedTo = (base: bigint, lines: readonly string[]): string[] =>
  lines.map((line) =>
    line.replaceAll(MAPPED, (digits) =>
      (BigInt(`0x${digits}`) + base - WITHOUT_KASLR).toString(16),
    ),
  );

const NAMES = [
  'linux-7.3.4-memslot-delete',
  'linux-7.3.4-bug-notifier-without-flush',
  'linux-7.3.4-nx-huge',
  'linux-6.12.117-mixed',
  'linux-6.12.117-bug-wrong-range',
  'linux-6.1.192-memslot-delete',
];

const BASES = [
  0xffff_8880_0000_0000n,
  0xffff_8b0a_c000_0000n,
  0xffff_c000_4000_0000n,
  // 5-level paging, without and with KASLR
  0xff11_0000_0000_0000n,
  0xff2d_5a81_8000_0000n,
];

describe.each(NAMES)('%s', (name) => {
  const lines = ownLines(name);
  const before = judgeTrace(lines);

  test('shows the base of the direct map', () => {
    expect(before).toMatchObject({ directMap: '0xffff888000000000', directMapMoves: 0 });
  });

  test.each(BASES)('is judged alike wherever physical memory is mapped: 0x%x', (base) => {
    const { rules, violations, directMap } = judgeTrace(movedTo(base, lines));

    expect(directMap).toBe(`0x${base.toString(16)}`);
    expect(rules).toEqual(before.rules);
    expect(violations.map(({ rule, line }) => [rule, line])).toEqual(
      before.violations.map(({ rule, line }) => [rule, line]),
    );
  });
});

test('any multiple of 1G is found', () => {
  const lines = ownLines('linux-7.3.4-nx-huge').slice(0, 2000);
  fc.assert(
    fc.property(fc.bigInt(0n, 0x3fffn), (gib) => {
      const base = WITHOUT_KASLR + gib * GIB;
      expect(judgeTrace(movedTo(base, lines)).directMap).toBe(`0x${base.toString(16)}`);
    }),
    { numRuns: 50 },
  );
});

test('two boots in one trace are noticed, and judged one after the other', () => {
  const lines = ownLines('linux-7.3.4-memslot-delete');
  const verdict = judgeTrace([...lines, ...movedTo(0xffff_9a40_c000_0000n, lines)]);

  expect(verdict).toMatchObject({ directMapMoves: 1, violated: 0 });
});

test('judgeTrace judges no rule about tables without evidence of the base, and says why', () => {
  const lines = without(ownLines('linux-7.3.4-memslot-delete'), [
    'init_sp',
    'link_sp',
    'kvm_mmu_set_spte',
  ]).map((line) => line.replace(/ new=0x[0-9a-f]+827\b/u, ' new=0x0'));
  const verdict = judgeTrace(lines);

  expect(verdict).toMatchObject({ directMap: null, violated: 0 });
  expect(verdict.rules['K26']?.notJudged).toHaveProperty(
    'no event shows where the kernel maps physical memory',
  );
});

/** The lines of a kernel that prints pointers hashed: 32 bits that mean nothing. */
const hashed = (lines: readonly string[]): string[] =>
  lines.map((line) => line.replace(/sptep ffff[0-9a-f]{12}/u, 'sptep 00000000a1b2c3d4'));

test.each(['linux-7.3.4-log-read', 'linux-6.12.117-bug-wrong-range'])(
  'fast page faults of %s are placed by root and address where their pointers are hashed',
  (name) => {
    const lines = ownLines(name);
    const { rules, unplacedFaults } = judgeTrace(hashed(lines));

    expect(rules).toEqual(judgeTrace(lines).rules);
    expect(unplacedFaults).toBe(0);
  },
);

test('fast page faults with hashed pointers are counted as not placed without their roots', () => {
  const lines = hashed(without(ownLines('linux-7.3.4-log-read'), ['fpf']));
  const { unplacedFaults, violated } = judgeTrace(lines.slice(Math.floor(lines.length / 2)));

  expect(unplacedFaults).toBeGreaterThan(0);
  expect(violated).toBe(0);
});

describe.each(['tdx-busy', 'tdx-split', 'tdx-bug-parent-blocked-first'])('%s', (name) => {
  const lines = ownLines(name);
  const before = judgeTrace(lines);

  test('is judged alike wherever memory and its struct pages are', () => {
    const moved = movedTo(0xff2d_5a81_8000_0000n, lines).map((line) =>
      line.replaceAll(
        /0xffffea[0-9a-f]{10}\b/gu,
        (page) => `0x${(BigInt(page) + 0x1234n * GIB).toString(16)}`,
      ),
    );
    const after = judgeTrace(moved);

    expect(after.directMap).toBe('0xff2d5a8180000000');
    expect(after.rules).toEqual(before.rules);
    expect(after.violations.map(({ rule, line }) => [rule, line])).toEqual(
      before.violations.map(({ rule, line }) => [rule, line]),
    );
  });
});
