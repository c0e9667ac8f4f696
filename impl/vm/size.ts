/**
 * Sizes of the platform on which policies are checked. A table has two entries and the tree three
 * levels, so the guest has eight 4K pages: an entry maps one page at 4K, two at 2M and four at 1G.
 */
export const FANOUT = 2;
export const ROOT_LEVEL = 2;
/** Pages of 4K that an entry maps at 2M. */
export const LARGE_PAGE = FANOUT;
/** Pages of 4K that the guest has. */
export const GUEST_PAGES = FANOUT ** (ROOT_LEVEL + 1);

/** GFN that arms zero-step mitigation; operations use the GFNs below {@link USED_PAGES}. */
export const ARMED_GFN = GUEST_PAGES - 1;
export const USED_PAGES = GUEST_PAGES - LARGE_PAGE;
