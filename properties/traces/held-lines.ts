/**
 * Lines that wait until the base of the direct map is known. Events name tables by virtual
 * addresses from the first fault of a VM on, and what shows the base follows within a few events,
 * or in a trace that begins late within a few faults.
 */

/** Upper bounds of what is held: beyond them, the trace is judged without the base. */
const MAX_LINES = 65_536;
const MAX_BYTES = 2 ** 23;

/** A queue of lines, copied, because the bytes of a line are valid for one call. */
export class HeldLines {
  private readonly lines: { readonly bytes: Uint8Array; readonly number: number }[] = [];
  private bytes = 0;

  get isFull(): boolean {
    return this.lines.length >= MAX_LINES || this.bytes >= MAX_BYTES;
  }

  /** Adds the line with that number. */
  push(bytes: Uint8Array, from: number, to: number, number: number): void {
    this.lines.push({ bytes: bytes.slice(from, to), number });
    this.bytes += to - from;
  }

  /** Passes every line on, in order. */
  release(onLine: (bytes: Uint8Array, from: number, to: number, number: number) => void): void {
    for (const { bytes, number } of this.lines) onLine(bytes, 0, bytes.length, number);
  }
}
