/** The recorded fields of a TD, a vCPU or an entry, read from the specification's state. */
import { PAGE_BYTES } from '../../../../spec/machine/memory.ts';
import { FREE, isTable, isWalkable, pageOf, type Entry } from '../../../../spec/tdx/entry.ts';
import { epochOfWord, isFar } from '../../../../spec/tdx/epoch.ts';
import { KOT_STATES } from '../../../../spec/tdx/keys.ts';
import { NO_OWNER, pageTypeName, TDR, TDVPR } from '../../../../spec/tdx/pamt.ts';
import { OP_STATES, LIFECYCLES, TD, UNINITIALIZED, VP } from '../../../../spec/tdx/td.ts';
import type { KotRow, PamtRow, Scalar, WbtRow } from '../format/scenario.ts';
import { hexOf } from '../format/values.ts';
import { word, type Slot, type Universe } from '../universe/universe.ts';
import { dumpLevel, holdsTdcs } from './harness.ts';

const tdrExists = (u: Universe, slot: Slot): boolean => u.tdx.pamt.type(slot.tdr, 0) === TDR;

type TdField = (u: Universe, slot: Slot) => Scalar;

const tdWord =
  (field: number): TdField =>
  (u, slot) =>
    word(u, slot.tdr, field);
/** A word that life-cycle recordings list only as long as the TDR page is a TDR. */
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

/** OP_STATE is a field of the TDCS, which exists once the TD has all TDCX pages that it needs. */
const opState: TdField = (u, slot) => {
  if (word(u, slot.tdr, TD.NUM_TDCX) < u.tdx.version.tdcx.min) return null;
  return OP_STATES[holdsTdcs(u, slot) ? word(u, slot.tdr, TD.OP_STATE) : UNINITIALIZED] ?? null;
};

/** The fields of a TD, by recorded name. */
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

/** Lock words of the TDCS, by recorded name. */
export const TD_LOCKS = [
  ['septTree', TD.SEPT_LOCK],
  ['opState', TD.OP_STATE_LOCK],
  ['epoch', TD.EPOCH_LOCK],
] as const;

/** An epoch as recordings have it: a number, which is rounded from 2^53 on. */
const epochNumber = (epoch: number): number => (isFar(epoch) ? Number(epochOfWord(epoch)) : epoch);

/** The fields of a vCPU, by recorded name, from the page number of its TDVPR. */
export const VCPU_FIELDS: ReadonlyMap<string, (u: Universe, tdvpr: number) => Scalar> = new Map([
  ['state', (u: Universe, tdvpr: number) => word(u, tdvpr, VP.STATE)],
  ['pages', (u, tdvpr) => word(u, tdvpr, VP.NUM_PAGES)],
  ['vcpuIndex', (u, tdvpr) => word(u, tdvpr, VP.VCPU_INDEX)],
  ['assocLp', (u, tdvpr) => word(u, tdvpr, VP.ASSOC_LPID) - 1],
  ['vcpuEpoch', (u, tdvpr) => epochNumber(word(u, tdvpr, VP.VCPU_EPOCH))],
]);

export const isTdvpr = (u: Universe, page: number): boolean => u.tdx.pamt.type(page, 0) === TDVPR;

/** TD_EPOCH and both REFCOUNTs. */
export const epochOf = (u: Universe, { tdr }: Slot): readonly [number, number, number] => [
  epochNumber(word(u, tdr, TD.TD_EPOCH)),
  word(u, tdr, TD.REFCOUNT_EVEN),
  word(u, tdr, TD.REFCOUNT_ODD),
];

/** The entry that a host walk to `level` finds for `gpa` (bytes), and its level. */
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

/** Visits every entry that is not FREE, parents first, also below a blocked table. */
export function forEachEntry(
  u: Universe,
  slot: Slot,
  visit: (gfn: number, level: number, entry: Entry) => void,
): void {
  const { geometry, memory, m } = u.tdx;
  const { fanout } = geometry;
  const descend = (table: number, firstGfn: number, level: number): void => {
    const first = memory.word(table, 0);
    for (let i = 0; i < fanout; i++) {
      const entry = m.peek(first + i);
      if (entry === FREE) continue;
      const gfn = firstGfn + i * geometry.span(level);
      visit(gfn, level, entry);
      if (isTable(entry) && level > 0) descend(pageOf(entry), gfn, level - 1);
    }
  };
  descend(word(u, slot.tdr, TD.SEPT_ROOT), 0, dumpLevel(u, slot));
}

type PamtField = (u: Universe, page: number, size: number) => Scalar;

/** The fields of an entry of the PAMT, as dumps show them. */
export const PAMT_FIELDS: ReadonlyMap<
  keyof PamtRow & ('type' | 'owner' | 'bepoch' | 'lockRaw'),
  PamtField
> = new Map([
  [
    'type',
    (u: Universe, page: number, size: number): Scalar => pageTypeName(u.tdx.pamt.type(page, size)),
  ],
  ['owner', ownerHpa],
  ['bepoch', (u, page, size) => epochNumber(u.tdx.m.peek(u.tdx.pamt.bepoch(page, size)))],
  ['lockRaw', (u, page, size) => u.tdx.m.peek(u.tdx.pamt.lock(page, size))],
]);

function ownerHpa(u: Universe, page: number, size: number): string {
  const owner = u.tdx.pamt.owner(page, size);
  return owner === NO_OWNER ? '0x0' : hexOf(u.tdx.base + BigInt(owner * PAGE_BYTES));
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
