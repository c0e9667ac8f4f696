/** TLBs: cached translations and paging-structure entries, and flushes. */
import { describe, expect, test } from 'vitest';
import { Machine } from '../../../spec/machine/machine.ts';
import { atomically } from '../../../spec/machine/step.ts';
import {
  ALL_ACCESS,
  EntryCache,
  EXECUTE_ACCESS,
  READ_ACCESS,
  Tlb,
  WRITE_ACCESS,
} from '../../../spec/machine/tlb.ts';
import { Seeded } from './support.ts';
import { span } from './tables.ts';

const ROOT = 0;
const OTHER_ROOT = 9;

function setUp(capacity = 4) {
  const m = new Machine();
  const cache = new EntryCache(m, 'cache', { span }, capacity);
  const tlb = new Tlb(m, 'tlb', { span }, capacity);
  m.seal();
  return { m, cache, tlb };
}

describe('a cache of entries', () => {
  test('a cache finds an entry for every GFN that it maps, under its root only', () => {
    const { cache } = setUp();
    cache.put(ROOT, 21, 1, READ_ACCESS | EXECUTE_ACCESS, false, 77);
    for (let gfn = 0; gfn < 40; gfn++)
      expect(cache.find(ROOT, gfn) >= 0).toBe(gfn >= 20 && gfn < 24);
    expect(cache.find(OTHER_ROOT, 21)).toBe(-1);
    const slot = cache.find(ROOT, 22);
    expect([cache.target(slot), cache.level(slot), cache.permissions(slot)]).toEqual([77, 1, 5]);
    expect(cache.isDirty(slot)).toBe(false);
  });

  test('a cache prefers the entry of the lowest level', () => {
    const { cache } = setUp();
    cache.put(ROOT, 0, 1, ALL_ACCESS, false, 10);
    cache.put(ROOT, 0, 0, ALL_ACCESS, false, 11);
    cache.put(ROOT, 0, 2, ALL_ACCESS, false, 12);
    expect([0, 1, 4].map((gfn) => cache.target(cache.find(ROOT, gfn)))).toEqual([11, 10, 12]);
  });

  test('a cache replaces an entry for the same range, and evicts only when it is full', () => {
    const { cache } = setUp(2);
    cache.put(ROOT, 1, 0, READ_ACCESS, false, 10);
    cache.put(ROOT, 1, 0, WRITE_ACCESS, true, 11);
    cache.put(OTHER_ROOT, 1, 0, READ_ACCESS, false, 12);
    const slot = cache.find(ROOT, 1);
    expect([cache.target(slot), cache.permissions(slot), cache.isDirty(slot)]).toEqual([
      11,
      WRITE_ACCESS,
      true,
    ]);
    expect(cache.pointsTo(10)).toBe(false);
    expect(cache.pointsTo(12)).toBe(true);
  });

  test('a full cache evicts its slots in turn, the same in every run', () => {
    const { m, cache } = setUp(3);
    const fill = (): number[] => {
      m.reset();
      for (let gfn = 0; gfn < 8; gfn++) cache.put(ROOT, gfn, 0, ALL_ACCESS, false, 100 + gfn);
      return [0, 1, 2, 3, 4, 5, 6, 7].filter((gfn) => cache.find(ROOT, gfn) >= 0);
    };
    expect(fill()).toEqual([5, 6, 7]);
    expect(fill()).toEqual([5, 6, 7]);
  });

  test('a cache drops the entries that overlap a range, of one root or of all', () => {
    const { cache } = setUp(8);
    const fill = () => {
      for (const root of [ROOT, OTHER_ROOT]) {
        cache.put(root, 3, 0, ALL_ACCESS, false, 1);
        cache.put(root, 4, 1, ALL_ACCESS, false, 2);
        cache.put(root, 8, 0, ALL_ACCESS, false, 3);
      }
    };
    const left = (root: number) => [3, 4, 8].filter((gfn) => cache.find(root, gfn) >= 0);
    fill();
    cache.dropRange(7, 1, ROOT);
    expect([left(ROOT), left(OTHER_ROOT)]).toEqual([
      [3, 8],
      [3, 4, 8],
    ]);
    fill();
    cache.dropRange(4, 4);
    expect([left(ROOT), left(OTHER_ROOT)]).toEqual([
      [3, 8],
      [3, 8],
    ]);
    fill();
    cache.drop(ROOT);
    expect([left(ROOT), left(OTHER_ROOT)]).toEqual([[], [3, 4, 8]]);
    cache.drop();
    expect([left(OTHER_ROOT), cache.pointsTo(1)]).toEqual([[], false]);
  });

  test('a cache finds only entries that were put and not flushed since', () => {
    const { cache } = setUp();
    const random = new Seeded(5);
    const truth = new Map<number, number>();
    for (let i = 0; i < 2_000; i++) {
      const gfn = random.pick(32);
      if (random.pick(4) === 0) {
        const pages = 1 + random.pick(6);
        cache.dropRange(gfn, pages);
        for (let g = gfn; g < gfn + pages; g++) {
          truth.delete(g);
          expect(cache.find(ROOT, g)).toBe(-1);
        }
      } else {
        truth.set(gfn, i);
        cache.put(ROOT, gfn, 0, ALL_ACCESS, false, i);
      }
      for (let g = 0; g < 32; g++) {
        const slot = cache.find(ROOT, g);
        if (slot >= 0) expect(cache.target(slot)).toBe(truth.get(g));
      }
    }
  });

  test('a cache names its cells, and a reset empties it', () => {
    const { m, cache } = setUp();
    cache.put(ROOT, 1, 0, ALL_ACCESS, false, 1);
    m.reset();
    expect(cache.find(ROOT, 1)).toBe(-1);
    expect([0, 1, 12].map((cell) => m.nameOf(cell))).toEqual([
      'cache.victim',
      'cache[0].space',
      'cache[1].target',
    ]);
  });
});

/** TLB with three translations, their paging-structure entries, and one of another root. */
const fillTlb = (tlb: Tlb) => {
  for (const gfn of [0, 1, 20]) {
    tlb.translations.put(ROOT, gfn, 0, ALL_ACCESS, false, 50 + gfn);
    tlb.tables.put(ROOT, gfn, 1, ALL_ACCESS, false, 60);
  }
  tlb.translations.put(OTHER_ROOT, 0, 0, ALL_ACCESS, false, 70);
};
const leftIn = (tlb: Tlb) => ({
  pages: [0, 1, 20].filter((gfn) => tlb.translations.find(ROOT, gfn) >= 0),
  tables: [0, 1, 20].filter((gfn) => tlb.tables.find(ROOT, gfn) >= 0),
  other: tlb.translations.find(OTHER_ROOT, 0) >= 0,
});

describe('a TLB', () => {
  test('a flush drops all entries, or those of one root', () => {
    const { m, tlb } = setUp();
    fillTlb(tlb);
    atomically(tlb.flush({ root: ROOT }));
    expect(leftIn(tlb)).toEqual({ pages: [], tables: [], other: true });
    fillTlb(tlb);
    atomically(tlb.flush());
    expect(leftIn(tlb)).toEqual({ pages: [], tables: [], other: false });
    expect([m.peek(tlb.cell), m.nameOf(tlb.cell)]).toEqual([2, 'tlb']);
  });

  test('a leaf-only flush keeps the paging-structure entries', () => {
    const { tlb } = setUp();
    fillTlb(tlb);
    atomically(tlb.flushRange(0, 1, { leavesOnly: true }));
    expect(leftIn(tlb)).toEqual({ pages: [1, 20], tables: [0, 1, 20], other: false });
    tlb.flushNow({ leavesOnly: true });
    expect(leftIn(tlb)).toEqual({ pages: [], tables: [0, 1, 20], other: false });
  });

  test('a ranged flush drops the paging-structure entries above the range', () => {
    const { tlb } = setUp();
    fillTlb(tlb);
    atomically(tlb.flushRange(0, 1, { root: ROOT }));
    expect(leftIn(tlb)).toEqual({ pages: [1, 20], tables: [20], other: true });
  });
});
