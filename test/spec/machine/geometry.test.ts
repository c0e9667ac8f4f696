/** Spans, indexes and ranges of tables with any number of entries. */
import { expect, test } from 'vitest';
import { Geometry } from '../../../spec/machine/geometry.ts';

const hardware = new Geometry(512);

test('a table of the hardware has 512 entries, and levels 0 to 2 map 4K, 2M and 1G', () => {
  expect([hardware.fanout, hardware.span(0), hardware.span(1), hardware.span(2)]).toEqual([
    512,
    1,
    512,
    512 ** 2,
  ]);
  expect(hardware.span(4) * 4096, 'an entry of a 5-level root').toBe(2 ** 48);
});

test('Geometry finds the entry and the range of a GFN at each level, also beyond 32 bits', () => {
  const gfn = 2 ** 36 * 3 + 2 ** 27 * 5 + 512 * 7 + 9;
  expect([0, 1, 2, 3, 4].map((level) => hardware.index(gfn, level))).toEqual([9, 7, 0, 5, 3]);
  expect(hardware.align(gfn, 1)).toBe(gfn - 9);
});

test('a table may have a number of entries that is no power of two', () => {
  const three = new Geometry(3);
  const gfn = 2 * 9 + 3 + 2;
  expect([0, 1, 2].map((level) => three.span(level))).toEqual([1, 3, 9]);
  expect([0, 1, 2].map((level) => three.index(gfn, level))).toEqual([2, 1, 2]);
  expect([0, 1, 2].map((level) => three.align(gfn, level))).toEqual([23, 21, 18]);
});
