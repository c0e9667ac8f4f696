/**
 * TDH.VP.ADDCX: gives a vCPU that is not yet initialised one more page.
 *
 * RCX the page; RDX TDVPR, held exclusively and let go of first. Up to 15 pages, whatever the
 * number of L2 VMs. Source: life-cycle notes §2; `lifecycle-locks.json`.
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
import { NDA, Pamt, TDCX } from '../pamt.ts';
import { PAGE_LAST, TDVPR_LAST } from '../release.ts';
import * as S from '../status.ts';
import { IN_INITIALIZED, MAX_TDVPS_PAGES, TD, VCPU_UNINITIALIZED, VP } from '../td.ts';

export const vpAddcx: InterfaceFunction = {
  name: 'TDH.VP.ADDCX',
  release: [...TDVPR_LAST, ...PAGE_LAST, HELD_OP_STATE, HELD_TDR],
  *run(tdx, call) {
    const { m, memory, pamt } = tdx;
    const { rcx, rdx } = call.in;
    let status: S.Status;

    // LOCK: the TDVPR, exclusively, and the TDR that owns it
    if ((status = yield* tdvprOperand(tdx, call, rdx, S.OPERANDS.RDX, EXCLUSIVE)) !== S.SUCCESS)
      return status;
    if ((status = yield* implicitTdr(tdx, call, ownerOfTdvpr(tdx, call.tdvpr))) !== S.SUCCESS)
      return status;

    // GUARD: TD state, the vCPU, the page
    if ((status = yield* tdStateLocked(tdx, call, IN_INITIALIZED)) !== S.SUCCESS) return status;
    if (vpGet(tdx, call, VP.STATE) !== VCPU_UNINITIALIZED) return S.VCPU_STATE_INCORRECT;
    const pages = vpGet(tdx, call, VP.NUM_PAGES);
    if (pages === MAX_TDVPS_PAGES) return S.TDCX_NUM_INCORRECT;
    status = yield* pageOperand(tdx, call, HELD_PAGE, rcx, S.OPERANDS.RCX, EXCLUSIVE, NDA);
    if (status !== S.SUCCESS) return status;

    // EFFECT: the page, the counts, PAMT
    memory.zero(call.page);
    yield* m.write(vpCell(tdx, call, VP.NUM_PAGES), pages + 1);
    yield* m.add(tdCell(tdx, call, TD.CHLDCNT), 1);
    yield* m.write(pamt.meta(call.page, 0), Pamt.pack(TDCX, call.tdr));
    return S.SUCCESS;
  },
};
