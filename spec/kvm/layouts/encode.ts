/** Encodes raw SPTEs. */
import { AD_TYPES, type SpteFields, type SpteKind } from './fields.ts';
import { union, wordOf, type Halves } from './halves.ts';
import {
  GENERATION_HIGH_SHIFT,
  GENERATION_LOW_SHIFT,
  MEMORY_TYPE_SHIFT,
  MMU_PRESENT,
  type SpteLayout,
} from './layout.ts';

const NOTHING: Halves = { hi: 0, lo: 0 };
const when = (isSet: boolean, bits: Halves): Halves => (isSet ? bits : NOTHING);

/** `frame` in bits 51:12. */
const frameBits = (frame: number): Halves => ({ hi: Math.floor(frame / 2 ** 20), lo: frame << 12 });

function encodeMmio({ mmio }: SpteLayout, { gfn, generation, access }: SpteFields): Halves {
  const high = generation >>> mmio.generationLowBits;
  const low = (generation << GENERATION_LOW_SHIFT) & mmio.generationLow.lo;
  return union([
    mmio.value,
    frameBits(gfn),
    { hi: high << GENERATION_HIGH_SHIFT, lo: low | access },
  ]);
}

/** Encodes a table, or the fields that tables and leaves have in common. */
function encodeTable(l: SpteLayout, f: SpteFields): Halves {
  const permissions = f.accessTracked ? l.saved : l.granted;
  const { hi, lo } = union([
    { hi: AD_TYPES.indexOf(f.adType) << l.adTypeShift, lo: MMU_PRESENT },
    l.always,
    frameBits(f.pfn),
    when(f.readable, permissions.readable),
    when(f.writable, l.writable),
    when(f.executable, permissions.executable),
    when(f.userExecutable, permissions.userExecutable),
    when(f.user, l.user),
    when(f.accessed, l.accessed),
  ]);
  return { hi: hi ^ l.inverted.hi, lo };
}

const encodeLeaf = (l: SpteLayout, f: SpteFields): Halves =>
  union([
    encodeTable(l, f),
    when(f.large, l.large),
    when(f.dirty, l.dirty),
    when(f.hostWritable, l.hostWritable),
    when(f.mmuWritable, l.mmuWritable),
    when(f.ignorePat, l.ignorePat),
    { hi: 0, lo: f.memoryType << MEMORY_TYPE_SHIFT },
  ]);

const ENCODERS: Readonly<Record<SpteKind, (l: SpteLayout, f: SpteFields) => Halves>> = {
  none: (l) => l.empty,
  frozen: (l) => l.frozen,
  mmio: encodeMmio,
  table: encodeTable,
  leaf: encodeLeaf,
};

/** Encodes `fields`: the inverse of decoding. Fields for which the layout has no bits are lost. */
export const encodeSpte = (l: SpteLayout, fields: SpteFields): bigint =>
  wordOf(ENCODERS[fields.kind](l, fields));
