/**
 * Sizes of the platform on which policies are checked: the tree of a Secure EPT, of its mirror and
 * of direct roots. By default a table has two entries and the tree three levels, so the guest has
 * eight 4K pages: an entry maps one page at 4K, two at 2M and four at 1G.
 */

/** Number of levels of a tree, and of entries of a table. */
export interface Tree {
  readonly levels: number;
  readonly fanout: number;
}

/** The tree of a check, or a scenario, that names none. */
export const DEFAULT_TREE: Tree = { levels: 3, fanout: 2 };

/** Smallest and largest value of each number of a {@link Tree}. */
export const TREE_LIMITS = { levels: [3, 5], fanout: [2, 4] } as const;

/** A tree that no VM can have; the message is one line. */
export class UnusableTree extends Error {
  override readonly name = 'UnusableTree';
}

/** The tree with these numbers, and the default's for the others. @throws UnusableTree */
export function treeOf(own: Partial<Tree> = {}): Tree {
  const tree = { ...DEFAULT_TREE, ...own };
  for (const part of ['levels', 'fanout'] as const) {
    const [least, most] = TREE_LIMITS[part];
    const value = tree[part];
    if (Number.isInteger(value) && value >= least && value <= most) continue;
    throw new UnusableTree(`${part} is ${value}; give a whole number from ${least} to ${most}`);
  }
  return tree;
}

/** The trees have the same numbers. */
export const isSameTree = (a: Tree, b: Tree): boolean =>
  a.levels === b.levels && a.fanout === b.fanout;

/** `levels 4, fanout 3`: what a tree has that the default has not; '' for the default itself. */
export const describeTree = (tree: Tree): string =>
  (['levels', 'fanout'] as const)
    .filter((part) => tree[part] !== DEFAULT_TREE[part])
    .map((part) => `${part} ${tree[part]}`)
    .join(', ');

/** {@link describeTree} behind a comma, for titles. */
export const treeSuffix = (tree: Tree): string =>
  isSameTree(tree, DEFAULT_TREE) ? '' : `, ${describeTree(tree)}`;

/** Sizes that follow from a tree. Pages are of 4K. */
export interface Sizes extends Tree {
  /** Level of the root's entries. */
  readonly rootLevel: number;
  /** Pages that an entry maps at 2M. */
  readonly largePage: number;
  /** Pages that the guest has. */
  readonly guestPages: number;
  /** Tables below the root of a full tree. */
  readonly tables: number;
  /** GFN that arms zero-step mitigation, and the end of the GFNs that operations use. */
  readonly armedGfn: number;
  readonly usedPages: number;
}

/** The sizes of a tree. */
export function sizesOf({ levels, fanout }: Tree): Sizes {
  const guestPages = fanout ** levels;
  return {
    levels,
    fanout,
    rootLevel: levels - 1,
    largePage: fanout,
    guestPages,
    tables: (guestPages - fanout) / (fanout - 1),
    armedGfn: guestPages - 1,
    usedPages: guestPages - fanout,
  };
}

const DEFAULT_SIZES = sizesOf(DEFAULT_TREE);
/** Sizes of the default tree; `vm.sizes` has those of a VM. */
export const GUEST_PAGES = DEFAULT_SIZES.guestPages;
export const ARMED_GFN = DEFAULT_SIZES.armedGfn;
export const USED_PAGES = DEFAULT_SIZES.usedPages;
