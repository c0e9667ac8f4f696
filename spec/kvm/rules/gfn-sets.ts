/** Sets of GFNs as bits of one number: the modelled guest has fewer than 31 GFNs. */
import type { PageRef } from '../../machine/pages.ts';
import type { Tables } from '../tables.ts';

const bitsBelow = (n: number): number => (n >= 31 ? 0x7fff_ffff : (1 << Math.max(0, n)) - 1);

export const rangeBits = (gfn: number, pages: number): number =>
  bitsBelow(gfn + pages) & ~bitsBelow(gfn);

/** GFNs that an entry maps. */
export function gfnBits(tables: Tables, table: PageRef, index: number): number {
  return rangeBits(tables.gfnOf(table, index), tables.span(tables.levelOf(table)));
}

/** `GFN 3`, `GFNs 2, 3`: the members of a set, as reports name them. */
export function gfnNames(bits: number): string {
  const gfns = Array.from({ length: 31 }, (_, i) => i).filter((i) => (bits & (1 << i)) !== 0);
  return `${gfns.length === 1 ? 'GFN' : 'GFNs'} ${gfns.join(', ')}`;
}
