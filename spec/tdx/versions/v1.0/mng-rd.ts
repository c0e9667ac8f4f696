/**
 * TDH.MNG.RD of module 1.0: reads a field of the TD. It has ids of its own, without element sizes,
 * and no next field.
 *
 * RCX TDR; RDX the field's id. Returns the value in R8. A field without state in this specification
 * is answered like an unknown id.
 *
 * Source: tdx-module 1.0.03 (commit fd485aa of niooss-ledger/tdx-module),
 * src/vmm_dispatcher/api_calls/tdh_mng_rd_wr.c: tdh_mng_rd(); include/tdx_api_defs.h: field codes.
 */
import { SHARED } from '../../locks.ts';
import type { InterfaceFunction } from '../../module.ts';
import { tdCell, tdrOperand, tdStateLocked } from '../../operands.ts';
import { ENTRY_TO_TDR } from '../../release.ts';
import * as S from '../../status.ts';
import { IN_BUILD_OR_RUN, INITIALIZED, RUNNABLE, TD } from '../../td.ts';

/** The value of a field from a word of the TDR page, and the word after it. */
type Read = (low: number, high: number) => bigint;

const narrow: Read = (low) => BigInt(low >>> 0);
const wide: Read = (low, high) => (BigInt(high >>> 0) << 32n) | BigInt(low >>> 0);
/** INIT and FINALIZED are flags in 1.0; the specification keeps one OP_STATE for both. */
const flag =
  (from: number): Read =>
  (opState) =>
    opState >= from ? 1n : 0n;

/** The fields by their ids. */
export const FIELDS_1_0: ReadonlyMap<bigint, readonly [word: number, Read]> = new Map([
  // TDR
  [0x8000_0000_0000_0000n, [TD.OP_STATE, flag(INITIALIZED)]],
  [0x8000_0000_0000_0001n, [TD.FATAL, narrow]],
  [0x8000_0000_0000_0002n, [TD.NUM_TDCX, narrow]],
  [0x8000_0000_0000_0004n, [TD.CHLDCNT, narrow]],
  [0x8000_0000_0000_0005n, [TD.LIFECYCLE, narrow]],
  [0x8100_0000_0000_0001n, [TD.HKID, narrow]],
  [0x8100_0000_0000_0002n, [TD.PKG_CONFIG_BITMAP, narrow]],
  // TDCS, management
  [0x9000_0000_0000_0000n, [TD.OP_STATE, flag(RUNNABLE)]],
  [0x9000_0000_0000_0001n, [TD.NUM_VCPUS, narrow]],
  [0x9000_0000_0000_0002n, [TD.NUM_ASSOC_VCPUS, narrow]],
  // TDCS, execution controls
  [0x1100_0000_0000_0000n, [TD.ATTRIBUTES, wide]],
  [0x1100_0000_0000_0001n, [TD.XFAM, wide]],
  [0x1100_0000_0000_0002n, [TD.MAX_VCPUS, narrow]],
  [0x1100_0000_0000_0003n, [TD.GPAW, narrow]],
  // TDCS, TLB tracking
  [0x9200_0000_0000_0000n, [TD.TD_EPOCH, narrow]],
  [0x9200_0000_0000_0001n, [TD.REFCOUNT_EVEN, narrow]],
  [0x9200_0000_0000_0002n, [TD.REFCOUNT_ODD, narrow]],
]);

export const mngRd: InterfaceFunction = {
  name: 'TDH.MNG.RD',
  release: ENTRY_TO_TDR,
  *run(tdx, call) {
    const { rcx, field: id } = call.in;
    let status: S.Status;
    call.wide = { rdx: id };

    // GUARD
    // 1. TDR, shared
    if ((status = yield* tdrOperand(tdx, call, rcx, S.OPERANDS.RCX, SHARED)) !== S.SUCCESS)
      return status;
    // 2. TD state
    if ((status = yield* tdStateLocked(tdx, call, IN_BUILD_OR_RUN)) !== S.SUCCESS) return status;
    // 3. field
    const field = FIELDS_1_0.get(id);
    if (field === undefined) return S.on(S.OPERAND_INVALID, S.OPERANDS.RDX);

    // EFFECT
    // 4. R8 := the value
    const [word, read] = field;
    const low = yield* tdx.m.read(tdCell(tdx, call, word));
    call.wide = { rdx: id, r8: read(low, tdx.m.peek(tdCell(tdx, call, word + 1))) };
    return S.SUCCESS;
  },
};
