/**
 * Shadow page-table entries, as KVM keeps them in direct tables, which the hardware walks, and in
 * mirror tables, which copy the Secure EPT. layouts/ has the real 64-bit encodings; this one is
 * small and fast, for checks.
 *
 * Packed into 32 bits: 21:0 the page (a guest's page, or a reference to a table), 24:22 the kind of
 * entry, 31:25 flags of leaves. FROZEN is not present: it belongs to the one actor that is carrying
 * out a change, and all others retry (K10, K11, K44).
 */
export type Spte = number;

/** NONE, FROZEN_KIND, MMIO, TABLE or LEAF. */
export type SpteKind = 0 | 1 | 2 | 3 | 4;
export const NONE = 0;
export const FROZEN_KIND = 1;
/** No memory backs the GFN: accesses fault and KVM emulates them. Not present. */
export const MMIO = 2;
/** Points to a lower table. */
export const TABLE = 3;
/** Maps guest memory. */
export const LEAF = 4;

const KIND_SHIFT = 22;
const KIND_MASK = 7;
const PAGE_MASK = (1 << KIND_SHIFT) - 1;
const FLAGS_MASK = -1 << 25;

/** W: the hardware may write through the leaf. */
export const WRITABLE = 1 << 25;
/** A fault may set W without a lookup: only dirty logging or aging has cleared it. */
export const MMU_WRITABLE = 1 << 26;
/** The host's own mapping of the page is writable. */
export const HOST_WRITABLE = 1 << 27;
export const ACCESSED = 1 << 28;
export const DIRTY = 1 << 29;
export const EXECUTABLE = 1 << 30;
/** Access tracking, aging without an A bit: no access is permitted until a fault restores them. */
export const ACCESS_TRACKED = 1 << 31;

/** Flags of a mirror leaf: the Secure EPT permits all accesses, and shows KVM no A and D bits. */
const MIRRORED = WRITABLE | MMU_WRITABLE | HOST_WRITABLE | ACCESSED | DIRTY | EXECUTABLE;

/** Nothing is mapped. */
export const EMPTY: Spte = 0;
/**
 * FROZEN_SPTE (REMOVED_SPTE before 6.10). Like the real encodings of non-present SPTEs it has bits
 * set that mean A, D or W in a leaf: code that tests only those bits mistakes it for a leaf
 * (B-21).
 */
export const FROZEN: Spte = (FROZEN_KIND << KIND_SHIFT) | ACCESSED | DIRTY;

/** SPTE that points to a table. */
export const tableSpte = (page: number): Spte => (TABLE << KIND_SHIFT) | page;
/** A leaf that maps `page`; of a mirror root, unless flags say otherwise. */
export const leafSpte = (page: number, flags = MIRRORED): Spte =>
  (LEAF << KIND_SHIFT) | page | flags;
/** An MMIO entry made under memslot generation `generation`. */
export const mmioSpte = (generation: number): Spte =>
  (MMIO << KIND_SHIFT) | WRITABLE | DIRTY | generation;

/** The value is one that KVM writes to entries that are not present. */
export const isNonPresentSpte = (spte: Spte): boolean =>
  spte === EMPTY ||
  spte === FROZEN ||
  (kindOfSpte(spte) === MMIO && spte === mmioSpte(pageOfSpte(spte)));

/** Kind of an SPTE; the cast is safe as only this file makes SPTEs. */
export const kindOfSpte = (spte: Spte): SpteKind => ((spte >>> KIND_SHIFT) & KIND_MASK) as SpteKind;
/** Page of an SPTE: a table, a mapped page, or an MMIO generation. */
export const pageOfSpte = (spte: Spte): number => spte & PAGE_MASK;
/** Flags of an SPTE. */
export const flagsOfSpte = (spte: Spte): number => spte & FLAGS_MASK;
/** The SPTE points to a table or maps a page. */
export const isPresent = (spte: Spte): boolean => kindOfSpte(spte) >= TABLE;
/** The SPTE maps a page. */
export const isLeafSpte = (spte: Spte): boolean => kindOfSpte(spte) === LEAF;

/**
 * The hardware may set D, or a fast page fault W, without mmu_lock. Such an entry has to be changed
 * atomically, and the result of the exchange is its old value (K3).
 */
export function hasVolatileBits(spte: Spte, adDisabled: boolean): boolean {
  if (!isLeafSpte(spte)) return false;
  if ((spte & MMU_WRITABLE) !== 0 && (spte & WRITABLE) === 0) return true;
  // A does not count: a wrong age of a page does no harm
  return adDisabled
    ? (spte & ACCESS_TRACKED) !== 0
    : (spte & WRITABLE) !== 0 && (spte & DIRTY) === 0;
}

const KIND_NAMES = ['none', 'FROZEN', 'MMIO', 'table', 'leaf'] as const;

const FLAGS = [
  [WRITABLE, 'w'],
  [MMU_WRITABLE, 'm'],
  [HOST_WRITABLE, 'h'],
  [EXECUTABLE, 'x'],
  [ACCESSED, 'a'],
  [DIRTY, 'd'],
] as const;

/** `leaf 0x20`, `leaf 0x20 -mhxa-`: an SPTE as reports show it, with flags if one is clear. */
export function describeSpte(spte: Spte): string {
  const name = KIND_NAMES[kindOfSpte(spte)];
  if (!isPresent(spte)) return name;
  const page = `${name} 0x${pageOfSpte(spte).toString(16)}`;
  if (!isLeafSpte(spte) || flagsOfSpte(spte) === MIRRORED) return page;
  const flags = FLAGS.map(([bit, letter]) => ((spte & bit) === 0 ? '-' : letter)).join('');
  return `${page} ${flags}${(spte & ACCESS_TRACKED) === 0 ? '' : ' tracked'}`;
}
