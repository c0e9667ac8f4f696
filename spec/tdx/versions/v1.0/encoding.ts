/**
 * Secure EPT entries of module 1.0. A leaf has bit 7, at 4K as well; blocked (TDB) is bit 9,
 * pending (TDP) bit 11, the guest's lock bit 62. There are no states of migration, no host lock and
 * no host priority. Bit 63 suppresses #VE: it is clear in a pending page of a TD that wants #VEs.
 *
 * Reports show RWX as set whatever the entry has, and the page also for tables.
 *
 * Source: tdx-module 1.0.03 (commit fd485aa of niooss-ledger/tdx-module),
 * src/common/x86_defs/x86_defs.h: ia32e_sept_t; src/common/memory_handlers/sept_manager.h:
 * sept_entry_state; sept_manager.c: set_arch_septe_details_in_vmm_regs(); raw values measured.
 */
import type { EntryEncoding } from '../../encoding.ts';
import {
  BLOCKED,
  entry,
  ENTRY_LOCK,
  FREE,
  isTable,
  MAPPED,
  NL_BLOCKED,
  NL_MAPPED,
  pageOf,
  PENDING,
  PENDING_BLOCKED,
  stateOf,
  withoutLocks,
  type Entry,
  type EntryState,
} from '../../entry.ts';

const SUPPRESS_VE = 1n << 63n;
const GUEST_LOCK = 1n << 62n;
const RWX = 7n;
/** Memory type write-back, IPAT, leaf. */
const LEAF = (6n << 3n) | (1n << 6n) | (1n << 7n);
const BLOCKED_BIT = 1n << 9n;
const PENDING_BIT = 1n << 11n;
const PAGE = 0x000f_ffff_ffff_f000n;
const STATE_BITS = RWX | LEAF | BLOCKED_BIT | PENDING_BIT;

interface Row {
  /** Bits beside the page. */
  readonly bits: bigint;
  /** Code in RDX bits 15:8. Leaf and table share it. */
  readonly code: number;
}

const ROWS: ReadonlyMap<EntryState, Row> = new Map([
  [FREE, { bits: 0n, code: 0 }],
  [NL_MAPPED, { bits: RWX, code: 4 }],
  [NL_BLOCKED, { bits: BLOCKED_BIT, code: 1 }],
  [MAPPED, { bits: RWX | LEAF, code: 4 }],
  [BLOCKED, { bits: LEAF | BLOCKED_BIT, code: 1 }],
  [PENDING, { bits: LEAF | PENDING_BIT, code: 2 }],
  [PENDING_BLOCKED, { bits: LEAF | PENDING_BIT | BLOCKED_BIT, code: 3 }],
]);

const rowOf = (state: EntryState): Row => ROWS.get(state) as Row; // 1.0 makes no other state

function toRaw(e: Entry, base: bigint, ve: boolean): bigint {
  const state = stateOf(e);
  let raw = rowOf(state).bits;
  if (state !== FREE) raw |= base + (BigInt(pageOf(e)) << 12n);
  if (state !== PENDING || !ve) raw |= SUPPRESS_VE;
  if ((e & ENTRY_LOCK) !== 0) raw |= GUEST_LOCK;
  return raw;
}

function fromRaw(raw: bigint, base: bigint): Entry | null {
  for (const [state, { bits }] of ROWS) {
    if (bits !== (raw & STATE_BITS)) continue;
    const page = state === FREE ? 0 : Number(((raw & PAGE) - base) >> 12n);
    const e = entry(state, page) | ((raw & GUEST_LOCK) !== 0n ? ENTRY_LOCK : 0);
    const ve = (raw & SUPPRESS_VE) === 0n;
    return toRaw(e, base, ve) === raw ? e : null;
  }
  return null;
}

function toRegister(e: Entry, base: bigint, ve: boolean): bigint {
  const bits = (toRaw(withoutLocks(e), base, ve) & ~STATE_BITS) | RWX;
  if (isTable(e)) return bits & ~SUPPRESS_VE;
  return stateOf(e) === FREE ? bits : bits | LEAF;
}

export const ENCODING_1_0: EntryEncoding = {
  toRaw,
  fromRaw,
  toRegister,
  stateCode: (state) => rowOf(state).code,
  lockBits: GUEST_LOCK,
  showsProgress: false,
  level0IsLeaf: true,
};
