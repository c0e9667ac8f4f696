/**
 * TDH.MR.EXTEND: extends the build-time measurement with 256 bytes of a page that was added.
 *
 * RCX GPA (256-byte aligned, no level); RDX TDR, held exclusively. The measurement itself is not
 * modelled. Source: module notes §3.
 */
import { HELD_TREE } from '../call.ts';
import { isGuestAccessible, MAPPED, stateOf } from '../entry.ts';
import { EXCLUSIVE } from '../locks.ts';
import type { InterfaceFunction } from '../module.ts';
import { gfnOf, isBadGpa, opStateAmong, tdrOperand, tdState } from '../operands.ts';
import { TDR_LAST } from '../release.ts';
import { aboutEntry, lockTree, walk } from '../sept.ts';
import * as S from '../status.ts';
import { IN_INITIALIZED } from '../td.ts';

const CHUNK_BYTES = 256;

export const mrExtend: InterfaceFunction = {
  name: 'TDH.MR.EXTEND',
  release: [HELD_TREE, ...TDR_LAST],
  *run(tdx, call) {
    const { rcx, rdx } = call.in;
    let status: S.Status;

    // LOCK: the TDR, exclusively
    if ((status = yield* tdrOperand(tdx, call, rdx, S.OPERANDS.RDX, EXCLUSIVE)) !== S.SUCCESS)
      return status;

    // GUARD: TD state and GPA
    if ((status = tdState(tdx, call)) !== S.SUCCESS) return status;
    if ((status = opStateAmong(tdx, call, IN_INITIALIZED)) !== S.SUCCESS) return status;
    if (rcx < 0 || rcx % CHUNK_BYTES !== 0 || isBadGpa(tdx, call, rcx)) {
      return S.on(S.OPERAND_INVALID, S.OPERANDS.RCX);
    }

    // LOCK: the tree, in the versions that lock it for readers
    if ((status = yield* lockTree(tdx, call)) !== S.SUCCESS) return status;

    // GUARD: the page is there
    yield* walk(tdx, call, gfnOf(rcx), 0);
    if (!isGuestAccessible(call.entry)) return aboutEntry(call, S.EPT_ENTRY_NOT_PRESENT);
    if (stateOf(call.entry) !== MAPPED) return S.EPT_ENTRY_NOT_PRESENT;
    return S.SUCCESS;
  },
};
