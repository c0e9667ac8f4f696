/** Physical memory: pages become cells at their first access. */
import { describe, expect, test } from 'vitest';
import { Machine } from '../../../spec/machine/machine.ts';
import { Memory } from '../../../spec/machine/memory.ts';

function memory() {
  const m = new Machine();
  return { m, memory: new Memory(m, 1_000_000, 8) };
}

describe('physical memory', () => {
  test('only pages that are accessed take up cells', () => {
    const { m, memory: ram } = memory();
    const before = m.segment('before', 1);
    const word = ram.word(999_999, 3);
    expect(m.segment('after', 1) - before).toBe(9);
    expect(ram.word(999_999, 0)).toBe(word - 3);
  });

  test('a word of memory is named by page and index', () => {
    const { m, memory: ram } = memory();
    expect(m.nameOf(ram.word(77, 5))).toBe('page 77 word 5');
  });

  test('memory zeroes a page, accessed before or not', () => {
    const { m, memory: ram } = memory();
    m.poke(ram.word(3, 7), 9);
    m.poke(ram.word(4, 7), 9);
    ram.zero(3);
    ram.zero(5);
    expect([m.peek(ram.word(3, 7)), m.peek(ram.word(4, 7)), m.peek(ram.word(5, 7))]).toEqual([
      0, 9, 0,
    ]);
  });

  test('memory copies a page, accessed before or not', () => {
    const { m, memory: ram } = memory();
    for (let i = 0; i < 8; i++) m.poke(ram.word(1, i), i + 1);
    ram.copy(1, 2);
    expect([0, 7].map((i) => m.peek(ram.word(2, i)))).toEqual([1, 8]);
    ram.copy(6, 2);
    expect([0, 7].map((i) => m.peek(ram.word(2, i)))).toEqual([0, 0]);
  });

  test('a reset restores memory, including pages that the run accessed first', () => {
    const { m, memory: ram } = memory();
    m.poke(ram.word(1, 1), 11);
    m.seal();
    m.poke(ram.word(1, 1), 12);
    m.poke(ram.word(2, 2), 22);
    m.reset();
    expect([m.peek(ram.word(1, 1)), m.peek(ram.word(2, 2))]).toEqual([11, 0]);
  });
});
