/** Splits a stream of bytes into lines, without converting them to strings. */
const NEWLINE = 0x0a;

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
      if (to < 0) {
        this.rest = Buffer.concat([this.rest, chunk]);
        return;
      }
      const line = Buffer.concat([this.rest, chunk.subarray(0, to)]);
      this.onLine(line, 0, line.length);
      from = to + 1;
    }
    for (let to = chunk.indexOf(NEWLINE, from); to >= 0; to = chunk.indexOf(NEWLINE, from)) {
      this.onLine(chunk, from, to);
      from = to + 1;
    }
    this.rest = Buffer.from(chunk.subarray(from));
  }

  /** The last line may lack its newline. */
  end(): void {
    if (this.rest.length > 0) this.onLine(this.rest, 0, this.rest.length);
    this.rest = Buffer.alloc(0);
  }
}
