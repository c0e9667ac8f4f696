/** Invalid operands that a faulty VMM can pass instead of a page, GPA or TD. */
import { hexOf } from '../format/values.ts';
import type { CallRequest } from './record-step.ts';
import type { Rng } from './rng.ts';

/** The values from which invalid operands are made. Addresses are HPAs. */
interface OperandContext {
  readonly tdr: bigint;
  /** In hexadecimal digits. */
  readonly tdvprs: readonly string[];
  readonly otherTdr: bigint;
  readonly reservedPage: bigint;
  /** A 4K page that may be in use, and one that is in use. */
  readonly somePage: bigint;
  readonly usedPage: bigint;
  readonly largePage: bigint;
  /** The GPA bit that means "shared". */
  readonly sharedBit: bigint;
}

type Kind = 'gpa' | 'rcx' | 'tdr' | 'page' | 'source';
type Change = (value: bigint, context: OperandContext) => bigint;

const MAX_PA = 1n << 52n;
const HKID = 33n << 46n;
const ALL_ONES = (1n << 64n) - 1n;
const OUTSIDE = 0x2_1000_0000n;
const BELOW = 0x2000_0000n;
const MODULE_RANGE = 0x4000_1000n;

const CHANGES: Readonly<Record<Kind, readonly (readonly [note: string, change: Change])[]>> = {
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

/** Returns the same call with one invalid operand, and a note that names it. */
export function withInvalidOperand(
  request: CallRequest,
  rng: Rng,
  context: OperandContext,
): CallRequest {
  const possible = operandsOf(request, context).flatMap(([kind, value]) =>
    CHANGES[kind].map(([note, change]) => ({ kind, value, note, change })),
  );
  const chosen = rng.pickOrNull(possible);
  if (chosen === null) return request;
  const { kind, value, note, change } = chosen;
  return { ...request, in: { ...replaced(request.in, kind, value, change(value, context)), note } };
}

/** The operands of a call, with their kinds. A TDVPR counts as a page. */
function operandsOf(
  { in: input }: CallRequest,
  { tdr, tdvprs }: OperandContext,
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

/** Replaces a value in the registers, and in `gpa`, `hpa` and `source`, which explain them. */
function replaced(
  input: CallRequest['in'],
  kind: Kind,
  before: bigint,
  after: bigint,
): CallRequest['in'] {
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
