/**
 * Codes of the characters that a reader of traces looks for. A file with a loop over bytes copies
 * those that it needs into constants of its own: the engine folds these, but not imports.
 */
export const ASCII = {
  SPACE: 0x20,
  HASH: 0x23,
  OPEN: 0x28,
  CLOSE: 0x29,
  PLUS: 0x2b,
  COMMA: 0x2c,
  MINUS: 0x2d,
  DOT: 0x2e,
  SLASH: 0x2f,
  COLON: 0x3a,
  EQUALS: 0x3d,
  BRACKET: 0x5b,
  UNBRACKET: 0x5d,
  LETTER_X: 0x78,
  CARRIAGE_RETURN: 0x0d,
} as const;

/** Value of a hexadecimal digit, by its code; 255 for other characters. */
export const DIGITS: Readonly<Uint8Array> = Uint8Array.from({ length: 256 }, (_, code) => {
  const value = '0123456789abcdef'.indexOf(String.fromCharCode(code));
  return value < 0 ? 255 : value;
});
