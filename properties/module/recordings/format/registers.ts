/** Converts between the 64-bit registers of a recording and the numbers of the specification. */
import { ALL_ONES, HUGE, type Call, type Register } from '../../../../spec/tdx/call.ts';
import type { TdxModule } from '../../../../spec/tdx/module.ts';
import type { Registers } from './step.ts';

const MAX = (1n << 64n) - 1n;

/** A register operand from its hexadecimal text, plus `offset` (the stride of a repeated call). */
export function toRegister(hex: string | undefined, offset = 0): Register {
  if (hex === undefined) return 0;
  if (hex.length <= 15) return Number(hex) + offset; // 0x and 13 digits: exact
  const bits = BigInt(hex) + BigInt(offset);
  if (bits === MAX) return ALL_ONES;
  const value = Number(bits);
  return BigInt(value) === bits ? value : HUGE;
}

/** The 64 bits of an output register. */
export const fromRegister = (register: Register): bigint =>
  register === ALL_ONES ? MAX : BigInt(register);

/** Represents 64-bit data by small integers, because memory holds no others. Zero is zero. */
export class Tokens {
  private readonly values: bigint[] = [0n];
  private readonly numbers = new Map<bigint, number>([[0n, 0]]);

  tokenOf(value: bigint): number {
    const known = this.numbers.get(value);
    if (known !== undefined) return known;
    this.numbers.set(value, this.values.length);
    return this.values.push(value) - 1;
  }

  valueOf(token: number): bigint {
    return this.values[token] ?? 0n; // tokens come from tokenOf()
  }
}

/** Functions whose R8 is data. */
const MOVES_DATA: ReadonlySet<string> = new Set(['TDH.MEM.RD', 'TDH.MEM.WR']);

export const movesData = (op: string): boolean => MOVES_DATA.has(op);

export type OutputName = 'rcx' | 'rdx' | 'r8' | 'r9';

/**
 * The outputs that a function does not write: software finds its own operand there. Every other
 * function begins by zeroing RCX and RDX. Source: `out` and `in.regs` of all recorded calls.
 */
const UNTOUCHED: ReadonlyMap<string, readonly OutputName[]> = new Map<
  string,
  readonly OutputName[]
>([
  ['TDH.MEM.TRACK', ['rcx', 'rdx']],
  ['TDH.MR.FINALIZE', ['rcx', 'rdx']],
  ['TDH.MEM.SEPT.REMOVE', ['r8']],
  ['TDH.MEM.PAGE.PROMOTE', ['r8']],
  ['TDH.VP.ENTER', ['rcx', 'rdx']],
  ['TDH.VP.FLUSH', ['rcx', 'rdx']],
  ['TDH.VP.CREATE', ['rcx', 'rdx']],
  ['TDH.VP.ADDCX', ['rcx', 'rdx']],
  ['TDH.VP.INIT', ['rcx', 'rdx']],
  ['TDH.MNG.CREATE', ['rcx', 'rdx']],
  ['TDH.MNG.KEY.CONFIG', ['rcx', 'rdx']],
  ['TDH.MNG.KEY.FREEID', ['rcx', 'rdx']],
  ['TDH.MNG.KEY.RECLAIMID', ['rcx', 'rdx']],
  ['TDH.MNG.VPFLUSHDONE', ['rcx', 'rdx']],
  ['TDH.MNG.ADDCX', ['rcx', 'rdx']],
  ['TDH.MNG.INIT', ['rdx']],
  ['TDH.MNG.RD', ['rcx']],
  ['TDG.MEM.PAGE.ACCEPT', ['rcx', 'rdx']],
  ['TDH.PHYMEM.CACHE.WB', ['rcx', 'rdx']],
  ['TDH.PHYMEM.PAGE.WBINVD', ['rcx', 'rdx']],
]);

/** An input that a recording does not list is zero. This one is unknown then. */
const UNRECORDED: OutputName = 'r8';

/**
 * The 64 bits of an output register. Null if the function does not write it and the recording does
 * not list the input. `passed` are the inputs of the step's first call.
 */
export function outputOf(
  tdx: TdxModule,
  tokens: Tokens,
  call: Call,
  name: OutputName,
  passed: Registers,
  stride: number,
): bigint | null {
  const wide = call.wide?.[name];
  if (wide !== undefined) return wide;
  const isUntouched = call.isUntouched || UNTOUCHED.get(call.name)?.includes(name) === true;
  if (call.exitReason < 0 && isUntouched) {
    const input = passed[name];
    if (input === undefined) return name === UNRECORDED ? null : 0n;
    return BigInt(input) + BigInt(name === 'rcx' ? stride : 0);
  }
  if (name === 'rcx' && call.rcxEntry !== null) return tdx.reportedEntry(call.rcxEntry, call.tdr);
  if (name === 'r8' && movesData(call.name)) return tokens.valueOf(call.data);
  if (call[name] === HUGE) return passedThrough(call, name, BigInt(passed[name] ?? 0));
  return fromRegister(call[name]);
}

/**
 * An operand that no number holds exactly, and that the function returns. SEPT.ADD clears bit 63 of
 * R8, except in versions that it does not know.
 */
const passedThrough = (call: Call, name: OutputName, input: bigint): bigint =>
  name === 'r8' && call.name === 'TDH.MEM.SEPT.ADD' && call.in.version === 1
    ? input & ~(1n << 63n)
    : input;
