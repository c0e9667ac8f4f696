/**
 * 64-bit words as two signed 32-bit halves. Recordings hold millions of SPTEs; a BigInt for each of them, and one more
 * for each bit that is looked at, costs ten times as much as integers do.
 */
export interface Halves {
  /** Bits 63:32. */
  readonly hi: number;
  /** Bits 31:0. */
  readonly lo: number;
}

const HALF_DIGITS = 8;
const HEX = /^(?:0x)?([0-9a-f]{1,16})$/i;

/** The halves of `word`; bits above 63 are dropped. */
export const halvesOf = (word: bigint): Halves => ({
  hi: Number(BigInt.asIntN(32, word >> 32n)),
  lo: Number(BigInt.asIntN(32, word)),
});

export const wordOf = ({ hi, lo }: Halves): bigint =>
  (BigInt.asUintN(32, BigInt(hi)) << 32n) | BigInt.asUintN(32, BigInt(lo));

/** The halves of a word in hexadecimal, with or without 0x, as tracepoints and probes print it; null for other text. */
export function halvesOfHex(text: string): Halves | null {
  const digits = HEX.exec(text)?.[1];
  if (digits === undefined) return null;
  const [high, low] = [digits.slice(0, -HALF_DIGITS), digits.slice(-HALF_DIGITS)];
  return { hi: Number.parseInt(`0${high}`, 16) | 0, lo: Number.parseInt(low, 16) | 0 };
}

/** All bits of `words`. */
export const union = (words: readonly Halves[]): Halves => ({
  hi: words.reduce((bits, { hi }) => bits | hi, 0),
  lo: words.reduce((bits, { lo }) => bits | lo, 0),
});
