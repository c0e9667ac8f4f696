/** The modules of which this repository has recordings, and how much of each. */
import { NEWEST_VERSION, type ModuleName } from '../../../../spec/tdx/versions/index.ts';

/** Seeds of the scenarios, and the seed of the pair recordings. */
export interface Seeds {
  readonly sequential: readonly number[];
  readonly lifecycle: readonly number[];
  readonly concurrent: readonly number[];
  readonly pairs: number;
}

/**
 * Of each module: the seeds below 400 whose scenarios together lead to the most combinations of
 * operation, status, operand and kind of result.
 */
const NEWEST_SEEDS: Seeds = {
  sequential: [
    9, 19, 20, 31, 38, 55, 56, 57, 61, 64, 67, 68, 83, 88, 104, 112, 120, 126, 129, 149, 154, 159,
    162, 174, 178, 186, 198, 203, 222, 234, 235, 240, 257, 324, 327, 332, 362, 380, 383, 399,
  ],
  lifecycle: [
    20, 64, 76, 92, 141, 147, 160, 181, 224, 238, 264, 301, 309, 322, 327, 347, 351, 364, 381, 394,
  ],
  // the first whose histories show no known finding, and in which locks refuse three calls or more
  concurrent: [
    0, 8, 9, 10, 11, 12, 16, 19, 28, 32, 33, 34, 35, 37, 39, 40, 41, 42, 43, 51, 52, 55, 56, 58,
  ],
  pairs: 1,
};

/** A module whose recordings are shipped. */
export interface Shipped {
  readonly version: ModuleName;
  /** Where they are, in the folder of recordings. */
  readonly folder: string;
  readonly seeds: Seeds;
  /** Maximal numbers of cells of pairs, and of lines. */
  readonly mostCells: number;
  readonly mostLines: number;
  /** What the names of the files with cells end in. */
  readonly suffix: '' | '.gz';
}

export const SHIPPED: readonly Shipped[] = [
  {
    version: NEWEST_VERSION,
    folder: '',
    seeds: NEWEST_SEEDS,
    mostCells: 220,
    mostLines: 1000,
    suffix: '',
  },
  {
    version: '1.0.03',
    folder: '1.0.03/',
    seeds: {
      sequential: [13, 53, 55, 102, 196, 234],
      lifecycle: [32, 217, 242, 380],
      concurrent: [0, 1, 4, 6],
      pairs: 1,
    },
    mostCells: 220,
    mostLines: 1000,
    suffix: '.gz',
  },
  {
    version: '1.5.01',
    folder: '1.5.01/',
    seeds: { sequential: [227, 372], lifecycle: [11, 104], concurrent: [0, 8], pairs: 2 },
    mostCells: 110,
    mostLines: 400,
    suffix: '.gz',
  },
];
