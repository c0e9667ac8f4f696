/**
 * TDH.VP.CREATE: creates a vCPU: a free page becomes its TDVPR.
 *
 * RCX the page; RDX TDR. NUM_VCPUS counts the vCPU only from TDH.VP.INIT on.
 *
 * Source: ABI Reference 348551, TDH.VP.CREATE leaf (leaf 10); intel/tdx-module 1.5.01,
 * src/vmm_dispatcher/api_calls/tdh_vp_create.c: tdh_vp_create(); docs/module-notes.md#life-cycle.
 */
import { HELD_OP_STATE, HELD_PAGE } from '../call.ts';
import { EXCLUSIVE, SHARED } from '../locks.ts';
import type { InterfaceFunction } from '../module.ts';
import { pageOperand, tdCell, tdrOperand, tdStateLocked } from '../operands.ts';
import { assignStructure, countPage } from '../pages.ts';
import { NDA, TDVPR } from '../pamt.ts';
import { PAGE_LAST, TDR_LAST } from '../release.ts';
import * as S from '../status.ts';
import { IN_INITIALIZED, TD, VP } from '../td.ts';

export const vpCreate: InterfaceFunction = {
  name: 'TDH.VP.CREATE',
  release: [...PAGE_LAST, HELD_OP_STATE, ...TDR_LAST],
  *run(tdx, call) {
    const { m, memory } = tdx;
    const { rcx, rdx } = call.in;
    let status: S.Status;

    // GUARD
    // 1. TDR, shared
    if ((status = yield* tdrOperand(tdx, call, rdx, S.OPERANDS.RDX, SHARED)) !== S.SUCCESS)
      return status;
    // 2. TD state; OP_STATE, shared
    if ((status = yield* tdStateLocked(tdx, call, IN_INITIALIZED)) !== S.SUCCESS) return status;
    // 3. page: free, exclusive
    status = yield* pageOperand(tdx, call, HELD_PAGE, rcx, S.OPERANDS.RCX, EXCLUSIVE, NDA);
    if (status !== S.SUCCESS) return status;

    // EFFECT
    // 4. page: TDVPR fields
    memory.zero(call.page);
    m.poke(memory.word(call.page, VP.NUM_PAGES), 1);
    m.poke(memory.word(call.page, VP.TDR), call.tdr);
    // 5. CHLDCNT; PAMT: TDVPR, owner
    yield* m.add(tdCell(tdx, call, TD.CHLDCNT), 1);
    yield* assignStructure(tdx, call, TDVPR);
    yield* countPage(tdx, call.page);
    return S.SUCCESS;
  },
};
