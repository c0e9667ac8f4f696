/** Tables in Markdown that have a column for each version, or for several that are alike. */

/** The texts of something for each version; null if a version has not got it. */
export type Texts = readonly (string | null)[];

const cell = (text: string | null): string => (text ?? '-').replaceAll('|', '\\|');
const line = (cells: Texts): string => `| ${cells.map(cell).join(' | ')} |`;

export const table = (head: readonly string[], rows: readonly Texts[]): string[] => [
  line(head),
  `|${head.map(() => '---|').join('')}`,
  ...rows.map(line),
  '',
];

export const isSame = (texts: Texts): boolean => new Set(texts).size === 1;

/** Versions side by side, neighbours in one column if all rows have the same texts for them. */
export class Columns {
  readonly heads: readonly string[];
  /** Index of the first version of each column. */
  private readonly firsts: readonly number[];

  constructor(names: readonly string[], rows: readonly Texts[]) {
    this.firsts = [...names.keys()].filter(
      (i) => i === 0 || rows.some((texts) => texts[i] !== texts[i - 1]),
    );
    this.heads = this.firsts.map((from, at) => names.slice(from, this.firsts[at + 1]).join(', '));
  }

  /** The texts of a row, one for each column. */
  of(texts: Texts): Texts {
    return this.firsts.map((i) => texts[i] ?? null);
  }
}
