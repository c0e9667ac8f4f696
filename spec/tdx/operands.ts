/**
 * The checks that functions share, in the order in which the module makes them. Each returns a
 * status: SUCCESS to go on, else the status of the call.
 *
 * Source: intel/tdx-module 1.5.01, src/common/helpers/helpers.c:
 * check_and_lock_explicit_private_hpa(), check_lock_and_map_explicit_tdr(),
 * lock_and_map_implicit_tdr(), check_state_map_tdcs_and_lock(), verify_page_info_input(),
 * check_gpa_validity(), shared_hpa_check(); src/common/memory_handlers/pamt_manager.c: pamt_walk();
 * docs/module-notes.md#operand-checks.
 */
import { PAGE_BYTES } from '../machine/memory.ts';
import { TRY, type Steps, access } from '../machine/step.ts';
import {
  ALL_ONES,
  HELD_OP_STATE,
  HELD_TDR,
  HELD_TDVPR,
  parent1G,
  parent2M,
  type Call,
  type Register,
  type Role,
} from './call.ts';
import { EXCLUSIVE, SHARED, type Mode } from './locks.ts';
import type { TdxModule } from './module.ts';
import { NDA, Pamt, TDR, TDVPR, type PageType } from './pamt.ts';
import * as S from './status.ts';
import { KEYS_CONFIGURED, TD, VP } from './td.ts';

/**
 * Whether a physical address is invalid as a page operand: misaligned for `span` pages, with HKID
 * bits, or beyond 2^52.
 */
export const isBadAddress = (tdx: TdxModule, hpa: Register, span: number): boolean =>
  hpa < 0 || hpa % (PAGE_BYTES * span) !== 0 || hpa >= 2 ** tdx.platform.hkidShift;

/**
 * Whether the address of a source in shared memory is invalid: misaligned for `bytes`, with a
 * private HKID, beyond 2^52, or inside the module's own range.
 */
export function isBadSource(tdx: TdxModule, hpa: Register, bytes: number): boolean {
  const { hkidShift, privateHkids, seamrr } = tdx.platform;
  if (hpa < 0 || hpa % bytes !== 0 || hpa >= 2 ** 52) return true;
  if (Math.floor(hpa / 2 ** hkidShift) >= privateHkids[0]) return true;
  if (seamrr === undefined) return false;
  const [first, count] = seamrr;
  const page = Math.floor((hpa % 2 ** hkidShift) / PAGE_BYTES);
  return page >= first && page < first + count;
}

/** Page number of a valid address, or -1 when it is outside the TDMR. */
export function pageNumber(tdx: TdxModule, hpa: Register): number {
  const page = hpa / PAGE_BYTES - tdx.platform.tdmrBase;
  return page >= 0 && page < tdx.memory.pages ? page : -1;
}

/** HPA (bytes) of a page number. */
export const addressOf = (tdx: TdxModule, page: number): number =>
  (page + tdx.platform.tdmrBase) * PAGE_BYTES;

/**
 * Walks the PAMT to the entry of `page`: PAMT_1G and PAMT_2M shared, the leaf in `mode`. The walk
 * ends early at a larger page; an exclusive mode then promotes the shared hold. Returns the size of
 * the leaf, or -1 when a lock was refused.
 */
export function* walkPamt(
  tdx: TdxModule,
  call: Call,
  role: Role,
  page: number,
  mode: Mode,
  atMost = 0,
): Steps<number> {
  for (let size = 2; size > 0; size--) {
    const held = size === 2 ? parent1G(role) : parent2M(role);
    const lock = tdx.pamt.lock(page, size);
    yield access(lock, TRY);
    if (!tdx.acquireNow(call, held, lock, SHARED)) return -1;
    if (size > atMost && tdx.pamt.isNode(page, size)) continue;
    if (mode === EXCLUSIVE) {
      if (!(yield* tdx.locks.promote(lock))) {
        call.busyLock = lock;
        return -1;
      }
      call.hold(held, lock, EXCLUSIVE);
    }
    return size;
  }
  const lock = tdx.pamt.lock(page, 0);
  yield access(lock, TRY);
  return tdx.acquireNow(call, role, lock, mode) ? 0 : -1;
}

/**
 * Releases the PAMT walk of a refused operand at once, before whatever else the call holds.
 *
 * Source: measured: docs/module-notes.md#operand-checks.
 */
export function* refuseWalked(
  tdx: TdxModule,
  call: Call,
  role: Role,
  status: S.Status,
): Steps<S.Status> {
  for (const held of [role, parent2M(role), parent1G(role)]) yield* tdx.release(call, held);
  return status;
}

/**
 * A 4K page operand: address, TDMR, PAMT lock, then size and type. A refusal names `operand`; on
 * success the page is locked under `role`. Where `sized` is false, the entry that the walk reaches
 * need not be of 4K.
 */
export function* pageOperand(
  tdx: TdxModule,
  call: Call,
  role: Role,
  hpa: Register,
  operand: number,
  mode: Mode,
  type: PageType,
  sized = true,
): Steps<S.Status> {
  if (isBadAddress(tdx, hpa, 1)) return S.on(S.OPERAND_INVALID, operand);
  const page = pageNumber(tdx, hpa);
  if (page < 0) return S.on(S.OPERAND_ADDR_RANGE_ERROR, operand);
  const size = yield* walkPamt(tdx, call, role, page, mode);
  if (size < 0) return yield* refuseWalked(tdx, call, role, S.on(S.OPERAND_BUSY, operand));
  const misfit = misfitOf(tdx, page, size, sized ? 0 : size, type);
  if (misfit !== S.SUCCESS) return yield* refuseWalked(tdx, call, role, S.on(misfit, operand));
  if (role === HELD_TDR) call.tdr = page;
  else if (role === HELD_TDVPR) call.tdvpr = page;
  else call.page = page;
  return S.SUCCESS;
}

/**
 * Why the page that a walk has reached is not the one of `wanted` size and `type`, or SUCCESS. With
 * dynamic PAMT a free range without pages for its 4K entries has a status of its own, and a page
 * that holds entries is not free.
 *
 * Source: intel/tdx-module 1.5.25, src/common/helpers/helpers.c:
 * non_shared_hpa_metadata_check_and_lock(); see pamt-pairs.ts.
 */
export function misfitOf(
  { pamt }: TdxModule,
  page: number,
  reached: number,
  wanted: number,
  type: PageType,
): S.Status {
  if (reached !== wanted) {
    const lacksPages = pamt.pairs !== null && reached === 1 && pamt.type(page, 1) === NDA;
    return lacksPages && type === NDA ? S.MISSING_PAMT_PAGE_PAIR : S.PAGE_METADATA_INCORRECT;
  }
  if (pamt.type(page, reached) !== type) return S.PAGE_METADATA_INCORRECT;
  const isUsed = type === NDA && pamt.pairs?.isPamtPage(page) === true;
  return isUsed ? S.PAGE_METADATA_INCORRECT : S.SUCCESS;
}

/** The TDR operand of a function, in the register that `operand` names. */
export const tdrOperand = (
  tdx: TdxModule,
  call: Call,
  hpa: Register,
  operand: number,
  mode: Mode,
): Steps<S.Status> => pageOperand(tdx, call, HELD_TDR, hpa, operand, mode, TDR);

/** The TDVPR operand. The TD is the owner of that page; {@link implicitTdr} locks it. */
export const tdvprOperand = (
  tdx: TdxModule,
  call: Call,
  hpa: Register,
  operand: number,
  mode: Mode,
): Steps<S.Status> => pageOperand(tdx, call, HELD_TDVPR, hpa, operand, mode, TDVPR);

/** Locks the TDR that owns the TDVPR or the reclaimed page: its PAMT entry, shared, no walk. */
export function* implicitTdr(
  tdx: TdxModule,
  call: Call,
  owner: number,
  mode: Mode = SHARED,
): Steps<S.Status> {
  const taken = yield* tdx.acquire(call, HELD_TDR, tdx.pamt.lock(owner, 0), mode);
  if (!taken) return S.on(S.OPERAND_BUSY, S.OPERANDS.TDR);
  call.tdr = owner;
  return S.SUCCESS;
}

/** The TDR that a TDVPR belongs to. */
export const ownerOfTdvpr = (tdx: TdxModule, tdvpr: number): number =>
  Pamt.ownerOf(tdx.m.peek(tdx.pamt.meta(tdvpr, 0)));

/** A field of the call's TD, read within the current step; stable while the TDR is locked. */
export const tdGet = (tdx: TdxModule, call: Call, field: number): number =>
  tdx.m.peek(tdx.memory.word(call.tdr, field));
/** A field of the call's vCPU, read within the current step. */
export const vpGet = (tdx: TdxModule, call: Call, field: number): number =>
  tdx.m.peek(tdx.memory.word(call.tdvpr, field));

/** TD state checks up to the TDCS: not fatal, keys configured, enough TDCX pages. */
export function tdState(tdx: TdxModule, call: Call): S.Status {
  const { fatal, tdcx } = tdx.version;
  if (tdGet(tdx, call, TD.FATAL) !== 0) return fatal;
  if (tdGet(tdx, call, TD.LIFECYCLE) !== KEYS_CONFIGURED) return S.TD_KEYS_NOT_CONFIGURED;
  if (tdcx.missing !== null && tdGet(tdx, call, TD.NUM_TDCX) < tdcx.min) return tdcx.missing;
  return S.SUCCESS;
}

/**
 * TD state checks, then the OP_STATE lock, shared, if there is one, and OP_STATE, which must be
 * among `allowed`.
 */
export function* tdStateLocked(tdx: TdxModule, call: Call, allowed: number): Steps<S.Status> {
  const state = tdState(tdx, call);
  if (state !== S.SUCCESS) return state;
  if (!tdx.version.locksOpState) return opStateAmong(tdx, call, allowed);
  const lock = tdx.memory.word(call.tdr, TD.OP_STATE_LOCK);
  const taken = yield* tdx.acquire(call, HELD_OP_STATE, lock, SHARED);
  if (!taken) return S.on(S.OPERAND_BUSY, S.OPERANDS.OP_STATE);
  return opStateAmong(tdx, call, allowed);
}

/** OP_STATE without its lock, for functions that hold the TDR exclusively. */
export function opStateAmong(tdx: TdxModule, call: Call, allowed: number): S.Status {
  const state = tdGet(tdx, call, TD.OP_STATE);
  if ((allowed & (1 << state)) !== 0) return S.SUCCESS;
  return tdx.version.opStateStatuses.get(allowed)?.[state] ?? S.OP_STATE_INCORRECT;
}

/** Whether a GPA (bytes) is not private: its SHARED bit is set, or it exceeds the address width. */
export const isBadGpa = (tdx: TdxModule, call: Call, gpa: number): boolean =>
  gpa < 0 || gpa >= 2 ** (tdGet(tdx, call, TD.GPAW) === 0 ? 47 : 51);

/**
 * The GPA mapping operand in RCX: level in bits 2:0, bits 11:3 and 63:52 zero, GPA aligned to the
 * level and private. On success `call.askedLevel` is the level in it.
 */
export function mappingOperand(
  tdx: TdxModule,
  call: Call,
  lowest: number,
  highest: number,
): S.Status {
  const invalid = S.on(S.OPERAND_INVALID, S.OPERANDS.RCX);
  const { rcx } = call.in;
  if (rcx < 0 || rcx >= 2 ** 52) return invalid;
  const low = rcx % PAGE_BYTES;
  if (low > 7 || low < lowest || low > highest) return invalid;
  const gpa = rcx - low;
  if (gpa % (PAGE_BYTES * tdx.geometry.span(low)) !== 0 || isBadGpa(tdx, call, gpa)) return invalid;
  call.askedLevel = low;
  return S.SUCCESS;
}

/** GFN of the mapping operand. */
export const gfnOf = (rcx: Register): number => Math.floor(rcx / PAGE_BYTES);

/** The flags beside the TDR in RDX: bits 11:0. All-ones and huge values have them as well. */
export const flagsOf = (rdx: Register): number => (rdx < 0 ? PAGE_BYTES - 1 : rdx % PAGE_BYTES);
/** RDX without its flags, once they are known to be legal. */
export const withoutFlags = (rdx: Register): Register => rdx - (rdx % PAGE_BYTES);

/** Version check of the functions that have versions 0 and 1; their first check. */
export const versionUpTo1 = (call: Call): S.Status =>
  call.in.version > 1 ? S.on(S.OPERAND_INVALID, S.OPERANDS.RAX) : S.SUCCESS;

/** Versions above 0 of functions that free S-EPT pages return the L2 VMs' in R9-R11: none here. */
export function noL2Pages(call: Call): void {
  if (call.in.version === 0) return;
  call.r9 = ALL_ONES;
  call.r10 = ALL_ONES;
  call.r11 = ALL_ONES;
}

/** Whether a register is the module's NULL_PA: all ones. */
export const isNull = (register: Register): boolean => register === ALL_ONES;

/** The cell of a vCPU field. */
export const vpCell = (tdx: TdxModule, call: Call, field: (typeof VP)[keyof typeof VP]): number =>
  tdx.memory.word(call.tdvpr, field);
/** The cell of a TD field. */
export const tdCell = (tdx: TdxModule, call: Call, field: number): number =>
  tdx.memory.word(call.tdr, field);
