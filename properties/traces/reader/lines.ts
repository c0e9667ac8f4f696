/** Splits a stream of bytes into lines, without converting them to strings. */
const NEWLINE = 0x0a;
/** Longest line. Of a longer one, as in a file that is no text, the rest is passed over. */
const LONGEST = 1 << 20;

/** Handles a line: `bytes` from `from` to `to`, which are valid during the call only. */
export type OnLine = (bytes: Uint8Array, from: number, to: number) => void;

export class LineSplitter {
  private readonly onLine: OnLine;
  private rest: Buffer = Buffer.alloc(0);

  constructor(onLine: OnLine) {
    this.onLine = onLine;
  }

  push(chunk: Buffer): void {
    let from = 0;
    if (this.rest.length > 0) {
      const to = chunk.indexOf(NEWLINE);
      this.keep(to < 0 ? chunk : chunk.subarray(0, to));
      if (to < 0) return;
      this.onLine(this.rest, 0, this.rest.length);
      from = to + 1;
    }
    for (let to = chunk.indexOf(NEWLINE, from); to >= 0; to = chunk.indexOf(NEWLINE, from)) {
      this.onLine(chunk, from, to);
      from = to + 1;
    }
    this.rest = Buffer.alloc(0);
    this.keep(chunk.subarray(from));
  }

  /** Copies more of the line that is not complete. */
  private keep(part: Buffer): void {
    const room = LONGEST - this.rest.length;
    if (room > 0) this.rest = Buffer.concat([this.rest, part.subarray(0, room)]);
  }

  /** Whether the last line lacks its newline. It is not passed on, as it may lack more. */
  end(): boolean {
    return this.rest.length > 0;
  }
}
