/**
 * Shadow page-table entries of a mirror root: the tables in which KVM keeps, for itself, what the Secure EPT holds.
 *
 * Packed: bits 23:0 the page, bits 25:24 what kind of entry it is. FROZEN is not present: it belongs to the one task
 * that is carrying the change to the Secure EPT, and everybody else goes away and comes back (K10, K11, K44).
 */
export type Spte = number;

export type SpteKind = 0 | 1 | 2 | 3;
export const NONE = 0;
export const FROZEN_KIND = 1;
/** Points to a lower table. */
export const TABLE = 2;
/** Maps guest memory. */
export const LEAF = 3;

const KIND_SHIFT = 24;
const PAGE_MASK = (1 << KIND_SHIFT) - 1;

/** Nothing is mapped. */
export const EMPTY: Spte = 0;
/** FROZEN_SPTE (REMOVED_SPTE before 6.10). */
export const FROZEN: Spte = FROZEN_KIND << KIND_SHIFT;

export const tableSpte = (page: number): Spte => (TABLE << KIND_SHIFT) | page;
export const leafSpte = (page: number): Spte => (LEAF << KIND_SHIFT) | page;

export const kindOfSpte = (spte: Spte): SpteKind => (spte >>> KIND_SHIFT) as SpteKind; // two bits
export const pageOfSpte = (spte: Spte): number => spte & PAGE_MASK;
export const isPresent = (spte: Spte): boolean => kindOfSpte(spte) >= TABLE;

const KIND_NAMES = ['none', 'FROZEN', 'table', 'leaf'] as const;

/** `leaf 0x20`: an SPTE as reports show it. */
export function describeSpte(spte: Spte): string {
  const name = KIND_NAMES[kindOfSpte(spte)];
  return isPresent(spte) ? `${name} 0x${pageOfSpte(spte).toString(16)}` : name;
}
