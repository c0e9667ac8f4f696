/** Bad operands: what a VMM that slips would pass instead of the page, GPA or TD that it means. */
import { hexOf } from '../format/values.ts';
import type { Asked } from './record-step.ts';
import type { Dice } from './rng.ts';

/** What the operands of a call may be confused with. Addresses are HPAs. */
export interface Surroundings {
  readonly tdr: bigint;
  /** In hexadecimal digits. */
  readonly tdvprs: readonly string[];
  readonly otherTdr: bigint;
  readonly reservedPage: bigint;
  /** Some 4 KiB page that may or may not be in use, and one that is. */
  readonly somePage: bigint;
  readonly usedPage: bigint;
  readonly largePage: bigint;
  /** The GPA bit that says "shared". */
  readonly sharedBit: bigint;
}

type Kind = 'gpa' | 'rcx' | 'tdr' | 'page' | 'source';
type Change = (value: bigint, around: Surroundings) => bigint;

const MAX_PA = 1n << 52n;
const HKID = 33n << 46n;
const ALL_ONES = (1n << 64n) - 1n;
const OUTSIDE = 0x2_1000_0000n;
const BELOW = 0x2000_0000n;
const MODULE_RANGE = 0x4000_1000n;

const SLIPS: Readonly<Record<Kind, readonly (readonly [note: string, change: Change])[]>> = {
  gpa: [
    ['gpa misaligned', (gpa) => gpa + 0x40n],
    ['gpa shared bit', (gpa, { sharedBit }) => gpa | sharedBit],
    ['gpa above width', (gpa, { sharedBit }) => gpa | (sharedBit << 1n)],
    ['gpa unmapped region', (gpa) => 0xc000_0000n | (gpa & 0x1f_ffffn)],
  ],
  rcx: [
    ['reserved bits in RCX', (rcx) => rcx + 0x100n],
    ['reserved bits in RCX', (rcx) => rcx + MAX_PA],
    ['reserved bits in RCX', (rcx) => rcx | (1n << 63n)],
  ],
  tdr: [
    ['tdr operand misaligned', (tdr) => tdr + 0x10n],
    ['tdr operand with flags', (tdr) => tdr + 1n],
    ['tdr operand above MAX_PA', (tdr) => tdr + MAX_PA],
    ['tdr operand with HKID bits', (tdr) => tdr + HKID],
    ['tdr operand out of TDMR', () => OUTSIDE],
    ['tdr operand is a TDCX page', (tdr) => tdr + 0x1000n],
    ['tdr operand is not a TDR', (_, { somePage }) => somePage],
    ['other TD', (_, { otherTdr }) => otherTdr],
  ],
  page: [
    ['page misaligned', (page) => page + 0x100n],
    ['page above MAX_PA', (page) => page + MAX_PA],
    ['page with HKID bits', (page) => page + HKID],
    ['page out of TDMR', () => OUTSIDE],
    ['page below TDMR', () => BELOW],
    ['page in use', (_, { usedPage }) => usedPage],
    ['page of 2M', (_, { largePage }) => largePage],
    ['a TDR page', (_, { tdr }) => tdr],
    ['PT_RSVD page', (_, { reservedPage }) => reservedPage],
    ['all ones', () => ALL_ONES],
  ],
  source: [
    ['source misaligned', (source) => source + 8n],
    ['source with a private HKID', (source) => source + HKID],
    ['source above MAX_PA', (source) => source + MAX_PA],
    ["source in the module's own range", () => MODULE_RANGE],
  ],
};

/** The same call with one bad operand, and a note that says which. */
export function slip(asked: Asked, dice: Dice, around: Surroundings): Asked {
  const possible = operandsOf(asked, around).flatMap(([kind, value]) =>
    SLIPS[kind].map(([note, change]) => ({ kind, value, note, change })),
  );
  const chosen = dice.pickOrNull(possible);
  if (chosen === null) return asked;
  const { kind, value, note, change } = chosen;
  return { ...asked, in: { ...replaced(asked.in, kind, value, change(value, around)), note } };
}

/** The operands that a call has, with their kinds. A TDVPR is a page, too. */
function operandsOf(
  { in: input }: Asked,
  { tdr, tdvprs }: Surroundings,
): (readonly [Kind, bigint])[] {
  const { gpa, regs = {}, hpa, source } = input;
  const registers = Object.values(regs);
  const found: readonly (readonly [Kind, unknown])[] = [
    ['gpa', gpa],
    ['source', source],
    ['page', hpa],
    ['rcx', regs.rcx],
    ['page', registers.find((value) => value !== hpa && tdvprs.includes(value))],
    ['tdr', registers.find((value) => value === hexOf(tdr))],
  ];
  return found.flatMap(([kind, value]) =>
    typeof value === 'string' ? [[kind, BigInt(value)] as const] : [],
  );
}

/** `hpa` and `source` say in words what a register holds; RCX holds a GPA with its level. */
function replaced(input: Asked['in'], kind: Kind, before: bigint, after: bigint): Asked['in'] {
  const { regs = {} } = input;
  const to = hexOf(after);
  if (kind === 'rcx') return { ...input, regs: { ...regs, rcx: to } };
  if (kind === 'gpa') {
    const rcx = hexOf(BigInt(regs.rcx ?? 0) - before + after);
    return { ...input, gpa: to, ...(regs.rcx === undefined ? {} : { regs: { ...regs, rcx } }) };
  }
  const swap = <T extends object>(fields: T): T =>
    Object.fromEntries(
      Object.entries(fields).map(([name, value]) => [name, value === hexOf(before) ? to : value]),
    ) as T; // the keys are the same
  return { ...(kind === 'tdr' ? input : swap(input)), regs: swap(regs) };
}
