/** The values of one event, by slot. They are exact to 64 bits, as two halves. */
import { ASCII, DIGITS } from './ascii.ts';
import { SLOTS } from './keys.ts';

const { SPACE, CLOSE, COMMA, MINUS, COLON, LETTER_X, CARRIAGE_RETURN } = ASCII;
const DIGIT = DIGITS;

/** Digits of the decimal numbers that a double holds exactly. */
const EXACT_DIGITS = 15;
/** Hexadecimal digits of 64 bits. */
const HEX_DIGITS = 16;

export class Values {
  readonly hi = new Int32Array(SLOTS);
  readonly lo = new Int32Array(SLOTS);
  /** Slots whose text is no number: the recorder could not read the value, or hides it. */
  readonly notNumbers: number[] = [];
  private readonly stamps = new Float64Array(SLOTS);
  private stamp = 0;

  clear(): void {
    this.stamp++;
    if (this.notNumbers.length > 0) this.notNumbers.length = 0;
  }

  has(slot: number): boolean {
    return this.stamps[slot] === this.stamp;
  }

  /**
   * Reads the number at offset `i`. A prefix 0x makes it hexadecimal, whatever `base` is. The slot
   * stays without a value if anything but a delimiter follows the digits. Returns the offset after
   * them.
   */
  read(slot: number, bytes: Uint8Array, i: number, to: number, base: number): number {
    const hexadecimal = bytes[i + 1] === LETTER_X;
    const end =
      hexadecimal || base === 16
        ? this.readHex(slot, bytes, hexadecimal ? i + 2 : i, to)
        : this.readDecimal(slot, bytes, i, to);
    if (end < 0 || (end < to && !isDelimiter(bytes[end] ?? 0))) {
      this.stamps[slot] = 0;
      this.notNumbers.push(slot);
      return i;
    }
    this.stamps[slot] = this.stamp;
    return end;
  }

  /** Returns the offset after the digits, or -1 if there are none, or too many. */
  private readDecimal(slot: number, bytes: Uint8Array, from: number, to: number): number {
    const negative = bytes[from] === MINUS;
    const first = negative ? from + 1 : from;
    let [i, value] = [first, 0];
    for (; i < to; i++) {
      const digit = DIGIT[bytes[i] ?? 0] ?? 255;
      if (digit > 9) break;
      value = value * 10 + digit;
    }
    if (i === first) return -1;
    if (negative || i - first > EXACT_DIGITS) return this.setExactly(slot, bytes, from, i);
    this.hi[slot] = value / 2 ** 32;
    this.lo[slot] = value;
    return i;
  }

  private setExactly(slot: number, bytes: Uint8Array, from: number, to: number): number {
    const value = BigInt(Buffer.from(bytes.subarray(from, to)).toString('latin1'));
    if (value >= 1n << 64n || value < -(1n << 63n)) return -1;
    this.hi[slot] = Number(BigInt.asIntN(32, value >> 32n));
    this.lo[slot] = Number(BigInt.asIntN(32, value));
    return to;
  }

  private readHex(slot: number, bytes: Uint8Array, from: number, to: number): number {
    let [i, hi, lo] = [from, 0, 0];
    for (; i < to; i++) {
      const digit = DIGIT[bytes[i] ?? 0] ?? 255;
      if (digit > 15) break;
      hi = (hi << 4) | (lo >>> 28);
      lo = (lo << 4) | digit;
    }
    if (i === from || i - from > HEX_DIGITS) return -1;
    this.hi[slot] = hi;
    this.lo[slot] = lo;
    return i;
  }
}

const isDelimiter = (code: number): boolean =>
  code === SPACE || code === COMMA || code === COLON || code === CLOSE || code === CARRIAGE_RETURN;
