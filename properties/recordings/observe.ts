/**
 * What a recording says about a TD, a VCPU or an entry, read from the specification's state.
 */
import { OP_STATES, LIFECYCLES, MIN_TDCX, TD, UNINITIALIZED, VP } from '../../spec/tdx/td.ts';
import { KOT_STATES } from '../../spec/tdx/keys.ts';
import { isWalkable, pageOf, type Entry } from '../../spec/tdx/entry.ts';
import { TDCX, TDR, TDVPR } from '../../spec/tdx/pamt.ts';
import type { KotRow, Scalar, WbtRow } from './format.ts';
import type { Slot, Universe } from './universe.ts';

const PAGE_BYTES = 4096;

/** A word of a TDR or TDVPR page. */
export const word = (u: Universe, page: number, field: number): number => u.tdx.m.peek(u.tdx.memory.word(page, field));

const tdrExists = (u: Universe, slot: Slot): boolean => u.tdx.pamt.type(slot.tdr, 0) === TDR;

type TdField = (u: Universe, slot: Slot) => Scalar;

const tdWord = (field: number): TdField => (u, slot) => word(u, slot.tdr, field);
/** A word that life-cycle recordings do not give once the TDR page is no TDR. */
const whileTdr = (read: TdField): TdField => (u, slot) =>
  (u.isSequential || tdrExists(u, slot) ? read(u, slot) : null);

const kotField = (read: (u: Universe, hkid: number) => Scalar): TdField => (u, slot) => {
  const hkid = word(u, slot.tdr, TD.HKID);
  return u.tdx.keys.isPrivate(hkid) ? read(u, hkid) : null;
};
const kotState = (u: Universe, hkid: number): string => KOT_STATES[u.tdx.m.peek(u.tdx.keys.state(hkid))] ?? '';
const wbinvdBitmap = (u: Universe, hkid: number): number => u.tdx.m.peek(u.tdx.keys.wbinvdBitmap(hkid));

/** OP_STATE is kept in the TDCS, so there is none before the sixth TDCX page. */
const opState: TdField = (u, slot) => {
  if (word(u, slot.tdr, TD.NUM_TDCX) < MIN_TDCX) return null;
  return OP_STATES[holdsTdcs(u, slot) ? word(u, slot.tdr, TD.OP_STATE) : UNINITIALIZED] ?? null;
};

/**
 * Recordings read the TDCS where it lies, on the TDCX pages; the specification keeps it on the TDR page. That shows
 * when a TD that is torn down has lost its first TDCX page to somebody who zeroed it. So the page is marked, at an
 * offset that nothing else uses, and the mark goes when the contents go.
 */
const markOf = (u: Universe, slot: Slot): number => u.tdx.memory.word(slot.tdcx, u.tdx.memory.wordsPerPage - 1);

/** To be called after each step of a life-cycle recording. */
export function markTdcs(u: Universe, slot: Slot): void {
  const { pamt, m } = u.tdx;
  if (pamt.type(slot.tdcx, 0) === TDCX && pamt.owner(slot.tdcx, 0) === slot.tdr) m.poke(markOf(u, slot), 1);
}

const holdsTdcs = (u: Universe, slot: Slot): boolean => u.isSequential || u.tdx.m.peek(markOf(u, slot)) === 1;

/** By the name that recordings give it. */
export const TD_FIELDS: ReadonlyMap<string, TdField> = new Map<string, TdField>([
  ['tdrExists', tdrExists],
  ['lifecycle', whileTdr((u, slot) => LIFECYCLES[word(u, slot.tdr, TD.LIFECYCLE)] ?? null)],
  ['fatal', tdWord(TD.FATAL)],
  ['hkid', tdWord(TD.HKID)],
  ['kotState', kotField(kotState)],
  ['wbinvdBitmap', kotField(wbinvdBitmap)],
  ['pkgConfigBitmap', tdWord(TD.PKG_CONFIG_BITMAP)],
  ['numTdcx', tdWord(TD.NUM_TDCX)],
  ['chldcnt', whileTdr(tdWord(TD.CHLDCNT))],
  ['opState', whileTdr(opState)],
  ['numVcpus', tdWord(TD.NUM_VCPUS)],
  ['numAssocVcpus', tdWord(TD.NUM_ASSOC_VCPUS)],
  ['maxVcpus', tdWord(TD.MAX_VCPUS)],
  ['numL2Vms', tdWord(TD.NUM_L2_VMS)],
]);

/** By name, from the TDVPR page number. */
export const VCPU_FIELDS: ReadonlyMap<string, (u: Universe, tdvpr: number) => Scalar> = new Map([
  ['state', (u: Universe, tdvpr: number) => word(u, tdvpr, VP.STATE)],
  ['pages', (u, tdvpr) => word(u, tdvpr, VP.NUM_PAGES)],
  ['vcpuIndex', (u, tdvpr) => word(u, tdvpr, VP.VCPU_INDEX)],
  ['assocLp', (u, tdvpr) => word(u, tdvpr, VP.ASSOC_LPID) - 1],
  ['vcpuEpoch', (u, tdvpr) => word(u, tdvpr, VP.VCPU_EPOCH)],
]);

export const isTdvpr = (u: Universe, page: number): boolean => u.tdx.pamt.type(page, 0) === TDVPR;

/** TD_EPOCH and both REFCOUNTs. */
export const epochOf = (u: Universe, { tdr }: Slot): readonly [number, number, number] =>
  [word(u, tdr, TD.TD_EPOCH), word(u, tdr, TD.REFCOUNT_EVEN), word(u, tdr, TD.REFCOUNT_ODD)];

/** Level at which dumps begin their walk: the TD's root, but in life-cycle recordings as if all TDs had four levels. */
export const firstLevel = (u: Universe, { tdr }: Slot): number =>
  u.isSequential ? word(u, tdr, TD.ROOT_LEVEL) : FOUR_LEVELS - 1;

const FOUR_LEVELS = 4;

/** The entry that a host walk to `level` finds for `gpa` (bytes), and the level where it is. */
export function hostWalk(u: Universe, slot: Slot, gpa: number, level: number): { entry: Entry; at: number } {
  const { geometry, memory, m } = u.tdx;
  const gfn = Math.floor(gpa / PAGE_BYTES);
  let table = word(u, slot.tdr, TD.SEPT_ROOT);
  for (let at = firstLevel(u, slot); ; at--) {
    const entry = m.peek(memory.word(table, geometry.index(gfn, at)));
    if (at <= level || !isWalkable(entry)) return { entry, at };
    table = pageOf(entry);
  }
}

/** The key ownership table. */
export function kotRows(u: Universe): KotRow[] {
  const { first, last } = u.tdx.keys;
  return Array.from({ length: last - first + 1 }, (_, i) => first + i)
    .map((hkid) => ({ hkid, state: kotState(u, hkid), wbinvdBitmap: wbinvdBitmap(u, hkid) }));
}

/** The write-back state of each package. */
export function wbtRows(u: Universe): WbtRow[] {
  const { m, keys, platform } = u.tdx;
  const hkids = kotRows(u).map((row) => row.hkid);
  return Array.from({ length: platform.packages }, (_, pkg) => ({
    pkg,
    intrPoint: m.peek(keys.intrPoint(pkg)),
    hkids: hkids.filter((hkid) => m.peek(keys.inSession(pkg, hkid)) !== 0),
  }));
}
