/** Names of page-table levels, by the size that one entry maps. */
const SIZES = ['4K', '2M', '1G', '512G', '256T'] as const;

/** Size that an entry maps at `level`, counted from 0 for the lowest: `4K`, `2M`, `1G`. */
export const sizeAt = (level: number): string => SIZES[level] ?? `level ${level}`;

/** The level whose entries map `size`, or -1. */
export const levelNamed = (size: string): number => SIZES.findIndex((name) => name === size);

/** Name of the entry that maps `gfn` at `level` (from 0), e.g. `0@2M`. */
export const entryAt = (gfn: number, level: number): string => `${gfn}@${sizeAt(level)}`;

/** Matches the names that {@link entryAt} returns. */
export const ENTRY_NAME = new RegExp(`\\d+@(?:${SIZES.join('|')})`, 'g');
