/**
 * Merges the lines of several files by time: the files per_cpu/cpuN/trace of one capture. Memory
 * depends on the number of files, not on their size.
 */
import { Header } from './reader/header.ts';
import type { OnLine } from './reader/lines.ts';

const NEWLINE = 0x0a;
const HASH = 0x23;
/** Longest line. A file with a longer one is no trace, and its bytes are passed over. */
const LONGEST = 1 << 20;
/** Lines that report missing events. They belong before the next event of their CPU. */
const IS_MARK = /^(?:CPU:\d|#####)/;
const MARK_BYTES = 6;

/** The lines of one file, and the time of the present one. */
class Source {
  readonly index: number;
  /** Time of the present line; -1 if it has none. */
  time = -1;
  /** The last line of the file has no newline. */
  cut = false;
  bytes: Buffer = Buffer.alloc(0);
  from = 0;
  to = -1;
  /** Marks before the present line. */
  marks: Buffer[] = [];
  private readonly chunks: AsyncIterator<Buffer>;
  private readonly header = new Header();

  constructor(index: number, chunks: AsyncIterator<Buffer>) {
    this.index = index;
    this.chunks = chunks;
  }

  /** Moves to the next line. Returns false if more bytes are needed. */
  next(): boolean {
    this.from = this.to + 1;
    const to = this.bytes.indexOf(NEWLINE, this.from);
    if (to < 0) return false;
    this.to = to;
    const isEvent =
      this.bytes[this.from] !== HASH && this.header.read(this.bytes, this.from, to) >= 0;
    this.time = isEvent ? this.header.time : -1;
    return true;
  }

  /** Reads more bytes. Returns false at the end of the file. */
  async more(): Promise<boolean> {
    const next = await this.chunks.next();
    const rest = this.bytes.subarray(this.from);
    this.cut = next.done === true && rest.length > 0;
    if (next.done === true) return false;
    this.bytes = rest.length > LONGEST ? next.value : Buffer.concat([rest, next.value]);
    this.from = 0;
    this.to = -1;
    return true;
  }

  get isMark(): boolean {
    const end = Math.min(this.to, this.from + MARK_BYTES);
    return IS_MARK.test(this.bytes.toString('latin1', this.from, end));
  }
}

const isLess = (a: Source, b: Source): boolean =>
  a.time < b.time || (a.time === b.time && a.index < b.index);

/** A binary heap of the sources, the earliest first. */
class Queue {
  private readonly heap: Source[] = [];

  get first(): Source | undefined {
    return this.heap[0];
  }

  push(source: Source): void {
    const { heap } = this;
    let at = heap.push(source) - 1;
    for (let parent = (at - 1) >> 1; at > 0 && isLess(source, heap[parent] ?? source);) {
      heap[at] = heap[parent] ?? source;
      at = parent;
      parent = (at - 1) >> 1;
    }
    heap[at] = source;
  }

  /** Removes the first. */
  pop(): void {
    const last = this.heap.pop();
    if (last === undefined || this.heap.length === 0) return;
    this.heap[0] = last;
    this.sink();
  }

  /** Restores the order after the first has moved to a later line. */
  sink(): void {
    const { heap } = this;
    const [source] = heap;
    if (source === undefined) return;
    let at = 0;
    for (;;) {
      const left = 2 * at + 1;
      const [one, other] = [heap[left], heap[left + 1]];
      if (one === undefined) break;
      const child = other !== undefined && isLess(other, one) ? other : one;
      if (!isLess(child, source)) break;
      heap[at] = child;
      at = child === one ? left : left + 1;
    }
    heap[at] = source;
  }
}

/**
 * Passes on the lines of several files by time, and within a file in their order. Lines without a
 * time are passed on as soon as they are read, but for marks. Returns whether the last line of a
 * file lacks its newline; it is not passed on. Calls `onChunk` after each piece that is read.
 */
export async function mergeLines(
  files: readonly AsyncIterator<Buffer>[],
  onLine: OnLine,
  onChunk: () => void,
): Promise<boolean> {
  const sources = files.map((chunks, index) => new Source(index, chunks));
  /** Moves a source to its next event. Returns false if more bytes are needed. */
  const step = (source: Source): boolean => {
    while (source.next()) {
      if (source.time >= 0) return true;
      if (source.isMark) source.marks.push(source.bytes.subarray(source.from, source.to));
      else onLine(source.bytes, source.from, source.to);
    }
    return false;
  };
  /** Does the same with as many bytes as are needed. Returns false at the end of the file. */
  const fill = async (source: Source): Promise<boolean> => {
    do {
      onChunk();
      // oxlint-disable-next-line no-await-in-loop -- the next event may need more bytes
      if (!(await source.more())) return false;
    } while (!step(source));
    return true;
  };
  const pass = (source: Source): void => {
    for (const mark of source.marks) onLine(mark, 0, mark.length);
    if (source.marks.length > 0) source.marks = [];
  };
  const queue = new Queue();
  // oxlint-disable-next-line no-await-in-loop -- all share one judge
  for (const source of sources) if (await fill(source)) queue.push(source);
  for (let { first } = queue; first !== undefined; { first } = queue) {
    pass(first);
    onLine(first.bytes, first.from, first.to);
    // oxlint-disable-next-line no-await-in-loop -- the earliest event of all may be its next
    if (step(first) || (await fill(first))) queue.sink();
    else queue.pop();
  }
  for (const source of sources) pass(source);
  return sources.some(({ cut }) => cut);
}
