/**
 * Secure EPT entries: the 16 states, their packed form in runs and their raw 64-bit form in
 * recordings and registers.
 *
 * Packed (32 bits): 24:0 page number in the modelled range (HPA bits 51:12 relative to its base),
 * 28:25 state, 29 entry lock, 30 host priority. A FREE, unlocked entry is 0. In a PENDING leaf
 * above 4K the low bits of the page number, which alignment keeps zero, hold the ACCEPT progress
 * counter, as they do in the raw entry (bits 20:12).
 *
 * Source: intel/tdx-module 1.5.01, src/common/x86_defs/x86_defs.h: ia32e_sept_t;
 * include/auto_gen/sept_state_lookup.c: sept_special_flags_lookup; raw values measured:
 * docs/module-notes.md#entry-states.
 */
export type Entry = number;

export const FREE = 0;
export const REMOVED = 1;
export const NL_MAPPED = 2;
export const NL_BLOCKED = 3;
export const MAPPED = 4;
export const BLOCKED = 5;
export const PENDING = 6;
export const PENDING_BLOCKED = 7;
export const BLOCKEDW = 8;
export const EXPORTED_BLOCKEDW = 9;
export const EXPORTED_DIRTY = 10;
export const EXPORTED_DIRTY_BLOCKEDW = 11;
export const PENDING_BLOCKEDW = 12;
export const PENDING_EXPORTED_BLOCKEDW = 13;
export const PENDING_EXPORTED_DIRTY = 14;
export const PENDING_EXPORTED_DIRTY_BLOCKEDW = 15;

/** State of a Secure EPT entry: FREE to PENDING_EXPORTED_DIRTY_BLOCKEDW. */
export type EntryState = number;

/** The kind of entry that a state makes. */
type Shape = 'none' | 'table' | 'leaf';

interface StateRow {
  readonly name: string;
  /**
   * State bits of the raw entry: D(9), TDEX(53), TDBW(54), TDB(55), TDP(56), and IPAT(6)/PS(7) of
   * leaves.
   */
  readonly bits: bigint;
  /** Code in RDX bits 15:8 of functions that report an entry. */
  readonly code: number;
  readonly shape: Shape;
  /** Permissions in bits 2:0. */
  readonly rwx: number;
  /** PAGE.REMOVE and similar functions require TLB tracking first. */
  readonly tracked: boolean;
}

const row = (
  name: string,
  bits: bigint,
  code: number,
  shape: Shape,
  rwx: number,
  tracked = true,
): StateRow => ({
  name,
  bits,
  code,
  shape,
  rwx,
  tracked,
});

/** Indexed by {@link EntryState}. */
export const STATES: readonly StateRow[] = [
  row('FREE', 0x00e0_0000_0000_0000n, 0, 'none', 0, false),
  row('REMOVED', 0x00c0_0000_0000_0000n, 5, 'none', 0, false),
  row('NL_MAPPED', 0n, 132, 'table', 7),
  row('NL_BLOCKED', 0x0080_0000_0000_0000n, 129, 'table', 0),
  row('MAPPED', 0xc0n, 4, 'leaf', 7),
  row('BLOCKED', 0x0080_0000_0000_00c0n, 1, 'leaf', 0),
  row('PENDING', 0x0100_0000_0000_00c0n, 2, 'leaf', 0),
  row('PENDING_BLOCKED', 0x0180_0000_0000_00c0n, 3, 'leaf', 0),
  row('BLOCKEDW', 0x0040_0000_0000_00c0n, 8, 'leaf', 5),
  row('EXPORTED_BLOCKEDW', 0x0060_0000_0000_00c0n, 9, 'leaf', 5, false),
  row('EXPORTED_DIRTY', 0x0020_0000_0000_02c0n, 11, 'leaf', 7),
  row('EXPORTED_DIRTY_BLOCKEDW', 0x0060_0000_0000_02c0n, 12, 'leaf', 5),
  row('PENDING_BLOCKEDW', 0x0140_0000_0000_00c0n, 16, 'leaf', 0),
  row('PENDING_EXPORTED_BLOCKEDW', 0x0160_0000_0000_00c0n, 17, 'leaf', 0, false),
  row('PENDING_EXPORTED_DIRTY', 0x0120_0000_0000_02c0n, 19, 'leaf', 0),
  row('PENDING_EXPORTED_DIRTY_BLOCKEDW', 0x0160_0000_0000_02c0n, 20, 'leaf', 0),
];

const STATE_SHIFT = 25;
export const PAGE_MASK = (1 << STATE_SHIFT) - 1;
/** Raw bit 11: the entry lock (TDEL). */
export const ENTRY_LOCK = 1 << 29;
/** Raw bit 52: a host call was refused, and goes before guests. */
export const HOST_PRIORITY = 1 << 30;
const LOCK_BITS = ENTRY_LOCK | HOST_PRIORITY;

/** An unlocked entry in `state`, pointing at `page` (a page number, not an address). */
export const entry = (state: EntryState, page: number): Entry => (state << STATE_SHIFT) | page;

/** State of an entry. */
export const stateOf = (e: Entry): EntryState => (e >>> STATE_SHIFT) & 15;
/** Page number of an entry. */
export const pageOf = (e: Entry): number => e & PAGE_MASK;
/** The entry without its lock and host-priority bits. */
export const withoutLocks = (e: Entry): Entry => e & ~LOCK_BITS;
/** The entry in another state. */
export const withState = (e: Entry, state: EntryState): Entry =>
  (e & ~(15 << STATE_SHIFT)) | (state << STATE_SHIFT);

const rowOf = (state: EntryState): StateRow => STATES[state] as StateRow; // four bits, sixteen rows
const maskOf = (has: (r: StateRow) => boolean): number =>
  STATES.reduce((mask, r, state) => (has(r) ? mask | (1 << state) : mask), 0);

/** A set of states, for the checks of an entry's state. */
export type StateSet = number;
/** The set of the given states. */
export const setOf = (...states: EntryState[]): StateSet =>
  states.reduce((mask, s) => mask | (1 << s), 0);
/** The entry's state is in the set. */
export const among = (states: StateSet, e: Entry): boolean => (states & (1 << stateOf(e))) !== 0;

export const LEAVES: StateSet = maskOf((r) => r.shape === 'leaf');
export const TABLES: StateSet = maskOf((r) => r.shape === 'table');
/** States through which the hardware and the module translate: some permission is granted. */
export const PERMITTING: StateSet = maskOf((r) => r.rwx !== 0);
/** The blocked states, which functions that end a translation require while the TD can run. */
export const ALL_BLOCKED: StateSet = setOf(NL_BLOCKED, BLOCKED, PENDING_BLOCKED);
/** States for which those functions require TLB tracking. */
export const TRACKED: StateSet = maskOf((r) => r.tracked);

/** The entry has a page, blocked or not. */
export const isLeaf = (e: Entry): boolean => among(LEAVES, e);
/** The entry points to a table, blocked or not. */
export const isTable = (e: Entry): boolean => among(TABLES, e);
/** Whether a walk continues below this entry. */
export const isWalkable = (e: Entry): boolean => stateOf(e) === NL_MAPPED;
/** Whether this entry translates a guest access. */
export const isGuestAccessible = (e: Entry): boolean => isLeaf(e) && among(PERMITTING, e);
/** The guest has not accepted the page. */
export const isPending = (e: Entry): boolean =>
  stateOf(e) === PENDING || stateOf(e) === PENDING_BLOCKED;

/** Name of a state. */
export const stateName = (state: EntryState): string => rowOf(state).name;
/** Code of a state in RDX bits 15:8. */
export const stateCode = (state: EntryState): number => rowOf(state).code;
/** Permission bits 2:0 of an entry. */
export const permissionsOf = (e: Entry): number => rowOf(stateOf(e)).rwx;

const SUPPRESS_VE = 1n << 63n;
export const RAW_LOCK = 1n << 11n;
export const RAW_HOST_PRIORITY = 1n << 52n;
const WRITE_BACK = 6n << 3n;
const RAW_PAGE = 0x000f_ffff_ffff_f000n;
const RAW_STATE = 0x01e0_0000_0000_02c0n;

/** Raw 64-bit entry. `base` is the HPA (bytes) of page number 0. */
export function toRaw(e: Entry, base: bigint): bigint {
  const { bits, rwx, shape } = rowOf(stateOf(e));
  let raw = SUPPRESS_VE | bits | BigInt(rwx);
  if (shape !== 'none') raw |= base + (BigInt(pageOf(e)) << 12n);
  if (shape === 'leaf') raw |= WRITE_BACK;
  if ((e & ENTRY_LOCK) !== 0) raw |= RAW_LOCK;
  if ((e & HOST_PRIORITY) !== 0) raw |= RAW_HOST_PRIORITY;
  return raw;
}

/** The packed form of a raw entry, or null when no state has these bits. */
export function fromRaw(raw: bigint, base: bigint): Entry | null {
  const state = STATES.findIndex((r) => r.bits === (raw & RAW_STATE));
  if (state < 0) return null;
  const page = rowOf(state).shape === 'none' ? 0 : Number(((raw & RAW_PAGE) - base) >> 12n);
  let e = entry(state, page);
  if ((raw & RAW_LOCK) !== 0n) e |= ENTRY_LOCK;
  if ((raw & RAW_HOST_PRIORITY) !== 0n) e |= HOST_PRIORITY;
  return toRaw(e, base) === raw ? e : null;
}

/** RCX of functions that report an entry: its architectural bits, without the module's own. */
export function toArchitectural(e: Entry, base: bigint): bigint {
  const { shape, rwx } = rowOf(stateOf(e));
  if (stateOf(e) === FREE) return SUPPRESS_VE;
  if (shape !== 'leaf') return BigInt(rwx);
  return toRaw(withoutLocks(e), base) & ~(RAW_STATE & ~0xc0n);
}

/** An entry as reports show it, e.g. `PENDING 0x100200000 locked`. */
export function describeEntry(e: Entry, base = 0n): string {
  const { name, shape } = rowOf(stateOf(e));
  const page = shape === 'none' ? '' : ` 0x${(base + (BigInt(pageOf(e)) << 12n)).toString(16)}`;
  const lock = (e & ENTRY_LOCK) !== 0 ? ' locked' : '';
  return `${name}${page}${lock}${(e & HOST_PRIORITY) !== 0 ? ' +HP' : ''}`;
}
