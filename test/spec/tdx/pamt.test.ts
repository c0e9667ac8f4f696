/** PAMT: owners, types and sizes of pages. */
import { describe, expect, test } from 'vitest';
import { Geometry } from '../../../spec/machine/geometry.ts';
import { Machine } from '../../../spec/machine/machine.ts';
import { EPT, NDA, NO_OWNER, Pamt, pageTypeName, REG, TDR } from '../../../spec/tdx/pamt.ts';

const PAGES = 1024;

function table(): { m: Machine; pamt: Pamt } {
  const m = new Machine();
  return { m, pamt: new Pamt(m, new Geometry(8), PAGES) };
}

describe('PAMT', () => {
  test('PAMT has an entry for each page of each size, and maps a cell to its entry', () => {
    const { m, pamt } = table();
    expect(pamt.entryOf(pamt.meta(100, 0))).toEqual({ page: 100, size: 0 });
    expect(pamt.entryOf(pamt.bepoch(100, 1))).toEqual({ page: 96, size: 1 });
    expect(pamt.entryOf(pamt.lock(100, 2))).toEqual({ page: 64, size: 2 });
    expect(pamt.entryOf(pamt.meta(0, 0) - 1)).toBeNull();
    expect(pamt.entryOf(m.segment('something else', 1))).toBeNull();
    const cells = [0, 1, 2].flatMap((size) => [
      pamt.meta(8, size),
      pamt.bepoch(8, size),
      pamt.lock(8, size),
    ]);
    expect(new Set(cells).size).toBe(9);
  });

  test('PAMT names its cells by size, page and field', () => {
    const { m, pamt } = table();
    expect(
      [pamt.meta(100, 0), pamt.bepoch(100, 1), pamt.lock(100, 2)].map((cell) => m.nameOf(cell)),
    ).toEqual(['PAMT_4K[page 100]', 'PAMT_2M[page 96].bepoch', 'PAMT_1G[page 64].lock']);
  });

  test('Pamt.pack() packs type and owner into one word, NO_OWNER included', () => {
    for (const owner of [NO_OWNER, 0, 77]) {
      const meta = Pamt.pack(REG, owner);
      expect([Pamt.typeOf(meta), Pamt.ownerOf(meta)]).toEqual([REG, owner]);
    }
    expect(Pamt.pack(NDA, NO_OWNER), 'a page that was never used is 0').toBe(0);
  });

  test('Pamt.sizeOf() is the size of the largest assigned entry of a page', () => {
    const { m, pamt } = table();
    expect(pamt.sizeOf(70)).toBe(0);
    m.poke(pamt.meta(70, 0), Pamt.pack(EPT, 0));
    expect([pamt.sizeOf(70), pamt.type(70, 0), pamt.owner(70, 0)]).toEqual([0, EPT, 0]);
    m.poke(pamt.meta(70, 1), Pamt.pack(REG, 3));
    expect([pamt.sizeOf(70), pamt.sizeOf(64), pamt.sizeOf(80), pamt.owner(71, 1)]).toEqual([
      1, 1, 0, 3,
    ]);
    m.poke(pamt.meta(70, 2), Pamt.pack(REG, 3));
    expect([pamt.sizeOf(70), pamt.sizeOf(80)]).toEqual([2, 2]);
  });

  test('pageTypeName() names known and unknown page types', () => {
    expect([TDR, REG, 2].map(pageTypeName)).toEqual(['TDR', 'REG', 'type 2']);
  });
});
