/**
 * The shape of a tree of page tables: the number of entries of a table, and the span of a level.
 *
 * Levels: 0 maps 4K pages, 1 maps 2M, 2 maps 1G. Recordings use the real 512 entries a table.
 * Checks use a smaller table, so that PROMOTE and DEMOTE of a whole table stay short. Nothing else
 * depends on the number.
 */
export class Geometry {
  /** Number of entries of a table. */
  readonly fanout: number;
  /** Number of 4K pages that an entry maps, by level. */
  private readonly spans: readonly number[];

  constructor(fanout: number) {
    this.fanout = fanout;
    this.spans = Array.from({ length: 6 }, (_, level) => fanout ** level);
  }

  /** Number of 4K pages that an entry at `level` maps. */
  span(level: number): number {
    return this.spans[level] as number; // levels 0..5
  }

  /** Index of the entry for a GFN in its table at `level`. */
  index(gfn: number, level: number): number {
    return Math.floor(gfn / this.span(level)) % this.fanout;
  }

  /** The first GFN of the range that an entry at `level` maps. */
  align(gfn: number, level: number): number {
    return gfn - (gfn % this.span(level));
  }
}
