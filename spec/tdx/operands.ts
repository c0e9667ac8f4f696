/**
 * Checks that the functions share, in the order the module makes them. Each answers with a status,
 * SUCCESS to go on. Source: module notes §2, confirmed by the sequential recordings.
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
import { KEYS_CONFIGURED, MIN_TDCX, TD, VP } from './td.ts';

/**
 * A physical address that no TDMR can hold: misaligned for `span` pages, with HKID bits, or beyond
 * 2^52.
 */
export const isBadAddress = (tdx: TdxModule, hpa: Register, span: number): boolean =>
  hpa < 0 || hpa % (PAGE_BYTES * span) !== 0 || hpa >= 2 ** tdx.platform.hkidShift;

/**
 * The address of a source in shared memory that no VMM can mean: misaligned for `bytes`, with a
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

/** Page number of an address that is not bad, or -1 when it is outside the TDMR. */
export function pageNumber(tdx: TdxModule, hpa: Register): number {
  const page = hpa / PAGE_BYTES - tdx.platform.tdmrBase;
  return page >= 0 && page < tdx.memory.pages ? page : -1;
}

/** HPA (bytes) of a page number. */
export const addressOf = (tdx: TdxModule, page: number): number =>
  (page + tdx.platform.tdmrBase) * PAGE_BYTES;

/**
 * Walks the PAMT to the entry of `page`: 1 GiB and 2 MiB shared, the leaf in `mode`. The walk ends
 * early at a larger page; an exclusive mode then promotes the shared hold. Answers the size of the
 * leaf, or -1 when a lock was refused.
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
    if (size > atMost && tdx.pamt.type(page, size) === NDA) continue;
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
 * A walked operand that is refused lets go of its walk at once, before whatever else the call
 * holds. Source: the release order of the calls that `stepwise.jsonl` records with
 * PAGE_METADATA_INCORRECT.
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
 * A 4 KiB page operand: address, TDMR, PAMT lock, then size and type. Answers a status with
 * `operand`; on success the page is locked under `role`.
 */
export function* pageOperand(
  tdx: TdxModule,
  call: Call,
  role: Role,
  hpa: Register,
  operand: number,
  mode: Mode,
  type: PageType,
): Steps<S.Status> {
  if (isBadAddress(tdx, hpa, 1)) return S.on(S.OPERAND_INVALID, operand);
  const page = pageNumber(tdx, hpa);
  if (page < 0) return S.on(S.OPERAND_ADDR_RANGE_ERROR, operand);
  const size = yield* walkPamt(tdx, call, role, page, mode);
  if (size < 0) return yield* refuseWalked(tdx, call, role, S.on(S.OPERAND_BUSY, operand));
  if (size > 0 || tdx.pamt.type(page, 0) !== type) {
    return yield* refuseWalked(tdx, call, role, S.on(S.PAGE_METADATA_INCORRECT, operand));
  }
  if (role === HELD_TDR) call.tdr = page;
  else if (role === HELD_TDVPR) call.tdvpr = page;
  else call.page = page;
  return S.SUCCESS;
}

/** The TDR operand of a function, in the register that `operand` names. */
export const tdrOperand = (
  tdx: TdxModule,
  call: Call,
  hpa: Register,
  operand: number,
  mode: Mode,
): Steps<S.Status> => pageOperand(tdx, call, HELD_TDR, hpa, operand, mode, TDR);

/**
 * The TDVPR operand; the TD is then the page's owner, locked by its PAMT entry alone:
 * {@link implicitTdr}.
 */
export const tdvprOperand = (
  tdx: TdxModule,
  call: Call,
  hpa: Register,
  operand: number,
  mode: Mode,
): Steps<S.Status> => pageOperand(tdx, call, HELD_TDVPR, hpa, operand, mode, TDVPR);

/**
 * Locks the TDR that owns the TDVPR (or reclaimed page): its own PAMT entry, shared, without a
 * walk.
 */
export function* implicitTdr(tdx: TdxModule, call: Call, owner: number): Steps<S.Status> {
  const taken = yield* tdx.acquire(call, HELD_TDR, tdx.pamt.lock(owner, 0), SHARED);
  if (!taken) return S.on(S.OPERAND_BUSY, S.OPERANDS.TDR);
  call.tdr = owner;
  return S.SUCCESS;
}

/** The TDR that a TDVPR belongs to. */
export const ownerOfTdvpr = (tdx: TdxModule, tdvpr: number): number =>
  Pamt.ownerOf(tdx.m.peek(tdx.pamt.meta(tdvpr, 0)));

/**
 * A field of the TD of this call, read within the current step: it is stable while the TDR is
 * locked.
 */
export const tdGet = (tdx: TdxModule, call: Call, field: number): number =>
  tdx.m.peek(tdx.memory.word(call.tdr, field));
/** A field of the vCPU of this call, read within the current step. */
export const vpGet = (tdx: TdxModule, call: Call, field: number): number =>
  tdx.m.peek(tdx.memory.word(call.tdvpr, field));

/** TD state checks up to the TDCS: not fatal, keys configured, enough TDCX pages. */
export function tdState(tdx: TdxModule, call: Call): S.Status {
  if (tdGet(tdx, call, TD.FATAL) !== 0) return S.TD_FATAL;
  if (tdGet(tdx, call, TD.LIFECYCLE) !== KEYS_CONFIGURED) return S.TD_KEYS_NOT_CONFIGURED;
  if (tdGet(tdx, call, TD.NUM_TDCX) < MIN_TDCX) return S.TDCS_NOT_ALLOCATED;
  return S.SUCCESS;
}

/**
 * TD state checks, then the OP_STATE lock (shared) and OP_STATE itself, which must be among
 * `allowed`.
 */
export function* tdStateLocked(tdx: TdxModule, call: Call, allowed: number): Steps<S.Status> {
  const state = tdState(tdx, call);
  if (state !== S.SUCCESS) return state;
  const lock = tdx.memory.word(call.tdr, TD.OP_STATE_LOCK);
  const taken = yield* tdx.acquire(call, HELD_OP_STATE, lock, SHARED);
  if (!taken) return S.on(S.OPERAND_BUSY, S.OPERANDS.OP_STATE);
  return opStateAmong(tdx, call, allowed);
}

/** OP_STATE without its lock, for functions that hold the TDR exclusively. */
export const opStateAmong = (tdx: TdxModule, call: Call, allowed: number): S.Status =>
  (allowed & (1 << tdGet(tdx, call, TD.OP_STATE))) !== 0 ? S.SUCCESS : S.OP_STATE_INCORRECT;

/**
 * Is the GPA (bytes) outside what a TD may use privately: SHARED bit set, or beyond its address
 * width?
 */
export const isBadGpa = (tdx: TdxModule, call: Call, gpa: number): boolean =>
  gpa < 0 || gpa >= 2 ** (tdGet(tdx, call, TD.GPAW) === 0 ? 47 : 51);

/**
 * The GPA mapping operand in RCX: level in bits 2:0, bits 11:3 and 63:52 zero, GPA aligned to the
 * level and private. On success `call.level` is the level asked for.
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
  call.level = low;
  return S.SUCCESS;
}

/** GFN of the mapping operand. */
export const gfnOf = (rcx: Register): number => Math.floor(rcx / PAGE_BYTES);

/**
 * RDX of the functions that carry flags beside the TDR: bits 11:0. All-ones and huge values have
 * flags, too.
 */
export const flagsOf = (rdx: Register): number => (rdx < 0 ? PAGE_BYTES - 1 : rdx % PAGE_BYTES);
/** The rest of RDX, once its flags are known to be legal. */
export const withoutFlags = (rdx: Register): Register => rdx - (rdx % PAGE_BYTES);

/** Version check of the functions that have versions 0 and 1; the very first check. */
export const versionUpTo1 = (call: Call): S.Status =>
  call.in.version > 1 ? S.on(S.OPERAND_INVALID, S.OPERANDS.RAX) : S.SUCCESS;

/**
 * Versions above 0 of the functions that free S-EPT pages return those of L2 VMs in R9-R11; here
 * there are none.
 */
export function noL2Pages(call: Call): void {
  if (call.in.version === 0) return;
  call.r9 = ALL_ONES;
  call.r10 = ALL_ONES;
  call.r11 = ALL_ONES;
}

/** A register that is "null" in the module's sense. */
export const isNull = (register: Register): boolean => register === ALL_ONES;

/** The cell of a vCPU field. */
export const vpCell = (tdx: TdxModule, call: Call, field: (typeof VP)[keyof typeof VP]): number =>
  tdx.memory.word(call.tdvpr, field);
/** The cell of a TD field. */
export const tdCell = (tdx: TdxModule, call: Call, field: number): number =>
  tdx.memory.word(call.tdr, field);
