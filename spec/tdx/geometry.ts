/**
 * The shape of a Secure EPT: how many entries a table has and what a level spans.
 *
 * Levels: 0 maps 4 KiB pages, 1 maps 2 MiB, 2 maps 1 GiB; the root is at level 3 or 4. Recordings
 * use the real 512 entries a table; exploration uses a smaller table, so that PROMOTE and DEMOTE of
 * a whole table stay short. Nothing else depends on the number.
 */
export class Geometry {
  /** Entries a table. */
  readonly fanout: number;
  /** 4 KiB pages spanned by an entry at a level. */
  private readonly spans: readonly number[];

  constructor(indexBits: number) {
    this.fanout = 1 << indexBits;
    this.spans = Array.from({ length: 6 }, (_, level) => 2 ** (indexBits * level));
  }

  /** How many 4 KiB pages an entry at `level` maps. */
  span(level: number): number {
    return this.spans[level] as number; // levels 0..5
  }

  /** Which entry of its table a GFN falls into at `level`. */
  index(gfn: number, level: number): number {
    return Math.floor(gfn / this.span(level)) % this.fanout;
  }

  /** The first GFN of the range that an entry at `level` maps. */
  align(gfn: number, level: number): number {
    return gfn - (gfn % this.span(level));
  }
}
