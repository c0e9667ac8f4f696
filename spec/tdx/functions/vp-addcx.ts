/**
 * TDH.VP.ADDCX: adds a page to a vCPU that is not yet initialised.
 *
 * RCX the page; RDX TDVPR, held exclusively and released first. In 1.5 a vCPU takes up to 15 pages,
 * whatever the number of L2 VMs.
 *
 * Source: ABI Reference 348551, TDH.VP.ADDCX leaf (leaf 4); intel/tdx-module 1.5.01,
 * src/vmm_dispatcher/api_calls/tdh_vp_addcx.c: tdh_vp_addcx(); docs/module-notes.md#life-cycle.
 */
import { HELD_OP_STATE, HELD_PAGE, HELD_TDR } from '../call.ts';
import { EXCLUSIVE } from '../locks.ts';
import type { InterfaceFunction } from '../module.ts';
import {
  implicitTdr,
  ownerOfTdvpr,
  pageOperand,
  tdCell,
  tdStateLocked,
  tdvprOperand,
  vpCell,
  vpGet,
} from '../operands.ts';
import { assignStructure, countPage } from '../pages.ts';
import { NDA } from '../pamt.ts';
import { PAGE_LAST, TDVPR_LAST } from '../release.ts';
import * as S from '../status.ts';
import { IN_INITIALIZED, TD, VCPU_UNINITIALIZED, VP } from '../td.ts';

export const vpAddcx: InterfaceFunction = {
  name: 'TDH.VP.ADDCX',
  release: [...TDVPR_LAST, ...PAGE_LAST, HELD_OP_STATE, HELD_TDR],
  *run(tdx, call) {
    const { m, memory } = tdx;
    const { rcx, rdx } = call.in;
    const { max, type, wrongNumber } = tdx.version.tdvps;
    let status: S.Status;

    // LOCK
    // 1. TDVPR, exclusive; TDR, shared
    if ((status = yield* tdvprOperand(tdx, call, rdx, S.OPERANDS.RDX, EXCLUSIVE)) !== S.SUCCESS)
      return status;
    if ((status = yield* implicitTdr(tdx, call, ownerOfTdvpr(tdx, call.tdvpr))) !== S.SUCCESS)
      return status;

    // GUARD
    // 2. TD state; OP_STATE, shared
    if ((status = yield* tdStateLocked(tdx, call, IN_INITIALIZED)) !== S.SUCCESS) return status;
    // 3. vCPU state; room for one more page
    if (vpGet(tdx, call, VP.STATE) !== VCPU_UNINITIALIZED) return S.VCPU_STATE_INCORRECT;
    const pages = vpGet(tdx, call, VP.NUM_PAGES);
    if (pages === max) return wrongNumber;
    // 4. page: free, exclusive
    status = yield* pageOperand(tdx, call, HELD_PAGE, rcx, S.OPERANDS.RCX, EXCLUSIVE, NDA);
    if (status !== S.SUCCESS) return status;

    // EFFECT
    // 5. page zeroed; number of pages; CHLDCNT; PAMT
    memory.zero(call.page);
    yield* m.write(vpCell(tdx, call, VP.NUM_PAGES), pages + 1);
    yield* m.add(tdCell(tdx, call, TD.CHLDCNT), 1);
    yield* assignStructure(tdx, call, type);
    yield* countPage(tdx, call.page);
    return S.SUCCESS;
  },
};
