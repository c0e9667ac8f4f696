/**
 * Sizes of the platform on which policies are checked. A table has two entries and the tree three
 * levels, so the guest has eight 4K pages: an entry maps one page at 4K, two at 2M and four at 1G.
 */
export const INDEX_BITS = 1;
export const ROOT_LEVEL = 2;
/** Pages of 4K that an entry maps at 2M. */
export const LARGE_PAGE = 1 << INDEX_BITS;
/** Pages of 4K that the guest has. */
export const GUEST_PAGES = 1 << (INDEX_BITS * (ROOT_LEVEL + 1));

/** GFN that arms zero-step mitigation; operations use the GFNs below {@link USED_PAGES}. */
export const ARMED_GFN = GUEST_PAGES - 1;
export const USED_PAGES = GUEST_PAGES - (1 << INDEX_BITS);
