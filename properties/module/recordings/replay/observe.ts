/** What a recording says about a TD, a vCPU or an entry, read from the specification's state. */
import { PAGE_BYTES } from '../../../../spec/machine/memory.ts';
import { isWalkable, pageOf, type Entry } from '../../../../spec/tdx/entry.ts';
import { KOT_STATES } from '../../../../spec/tdx/keys.ts';
import { TDR, TDVPR } from '../../../../spec/tdx/pamt.ts';
import { OP_STATES, LIFECYCLES, MIN_TDCX, TD, UNINITIALIZED, VP } from '../../../../spec/tdx/td.ts';
import type { KotRow, Scalar, WbtRow } from '../format/format.ts';
import { word, type Slot, type Universe } from '../universe/universe.ts';
import { dumpLevel, holdsTdcs } from './harness.ts';

const tdrExists = (u: Universe, slot: Slot): boolean => u.tdx.pamt.type(slot.tdr, 0) === TDR;

type TdField = (u: Universe, slot: Slot) => Scalar;

const tdWord =
  (field: number): TdField =>
  (u, slot) =>
    word(u, slot.tdr, field);
/** A word that life-cycle recordings do not give once the TDR page is no TDR. */
const whileTdr =
  (read: TdField): TdField =>
  (u, slot) =>
    u.isSequential || tdrExists(u, slot) ? read(u, slot) : null;

const kotField =
  (read: (u: Universe, hkid: number) => Scalar): TdField =>
  (u, slot) => {
    const hkid = word(u, slot.tdr, TD.HKID);
    return u.tdx.keys.isPrivate(hkid) ? read(u, hkid) : null;
  };
const kotState = (u: Universe, hkid: number): string =>
  KOT_STATES[u.tdx.m.peek(u.tdx.keys.state(hkid))] ?? '';
const wbinvdBitmap = (u: Universe, hkid: number): number =>
  u.tdx.m.peek(u.tdx.keys.wbinvdBitmap(hkid));

/** OP_STATE is kept in the TDCS, so there is none before the sixth TDCX page. */
const opState: TdField = (u, slot) => {
  if (word(u, slot.tdr, TD.NUM_TDCX) < MIN_TDCX) return null;
  return OP_STATES[holdsTdcs(u, slot) ? word(u, slot.tdr, TD.OP_STATE) : UNINITIALIZED] ?? null;
};

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
export const epochOf = (u: Universe, { tdr }: Slot): readonly [number, number, number] => [
  word(u, tdr, TD.TD_EPOCH),
  word(u, tdr, TD.REFCOUNT_EVEN),
  word(u, tdr, TD.REFCOUNT_ODD),
];

/** The entry that a host walk to `level` finds for `gpa` (bytes), and the level where it is. */
export function hostWalk(
  u: Universe,
  slot: Slot,
  gpa: number,
  level: number,
): { entry: Entry; at: number } {
  const { geometry, memory, m } = u.tdx;
  const gfn = Math.floor(gpa / PAGE_BYTES);
  let table = word(u, slot.tdr, TD.SEPT_ROOT);
  for (let at = dumpLevel(u, slot); ; at--) {
    const entry = m.peek(memory.word(table, geometry.index(gfn, at)));
    if (at <= level || !isWalkable(entry)) return { entry, at };
    table = pageOf(entry);
  }
}

/** The key ownership table. */
export function kotRows(u: Universe): KotRow[] {
  const { first, last } = u.tdx.keys;
  return Array.from({ length: last - first + 1 }, (_, i) => first + i).map((hkid) => ({
    hkid,
    state: kotState(u, hkid),
    wbinvdBitmap: wbinvdBitmap(u, hkid),
  }));
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
