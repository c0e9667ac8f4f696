/** Physical memory of the modelled host. */
import type { Cell, Machine } from './machine.ts';

/** Bytes of a 4K page. */
export const PAGE_BYTES = 4096;

/**
 * Pages of words. The words of a page become cells at its first access, so that a million pages
 * cost no more than those that are used. Page numbers count 4 KiB pages from the start of the
 * modelled range.
 */
export class Memory {
  readonly m: Machine;
  readonly pages: number;
  readonly wordsPerPage: number;
  private readonly firstWord: Int32Array;

  constructor(m: Machine, pages: number, wordsPerPage: number) {
    this.m = m;
    this.pages = pages;
    this.wordsPerPage = wordsPerPage;
    this.firstWord = new Int32Array(pages).fill(-1);
  }

  /** Cell of word `index` of `page`. The words of a page are neighbours. */
  word(page: number, index: number): Cell {
    const first = this.firstWord[page] as number; // callers pass pages of this memory
    return (first >= 0 ? first : this.map(page)) + index;
  }

  private map(page: number): Cell {
    const first = this.m.segment('page', this.wordsPerPage, (i) => `page ${page} word ${i}`);
    this.firstWord[page] = first;
    return first;
  }

  /** Zeroes a page within the current step. */
  zero(page: number): void {
    const first = this.firstWord[page] as number; // see word()
    if (first < 0) return;
    for (let i = 0; i < this.wordsPerPage; i++) this.m.poke(first + i, 0);
  }

  /** Copies a page within the current step. */
  copy(from: number, to: number): void {
    const source = this.firstWord[from] as number; // see word()
    if (source < 0) return this.zero(to);
    for (let i = 0; i < this.wordsPerPage; i++)
      this.m.poke(this.word(to, i), this.m.peek(source + i));
  }
}
