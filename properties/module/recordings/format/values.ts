/** Numbers in recordings: counts, and 64-bit values as hexadecimal digits. */
import * as v from 'valibot';

/** The schema of a 64-bit value, and of a count. */
export const hex = v.pipe(
  v.string(),
  v.regex(/^0x[0-9a-f]{1,16}$/, 'expected hexadecimal digits after 0x'),
);
export const count = v.pipe(v.number(), v.integer(), v.minValue(0));
export const pair = v.strictTuple([count, count]);

const DIGITS = 16;

/** For instance `0x1f`. */
export const hexOf = (value: bigint): string => `0x${value.toString(16)}`;

/** For instance `0x000000000000001f`. */
export const paddedHex = (value: bigint): string => `0x${value.toString(16).padStart(DIGITS, '0')}`;
