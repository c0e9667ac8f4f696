/**
 * TDH.MNG.ADDCX: gives the TD a page for its TDCS. The fourth is the root of the Secure EPT.
 *
 * RCX the page; RDX TDR, held exclusively and let go of before the page. A call that is refused for
 * OP_STATE has already overwritten the page, which stays free. Source: life-cycle notes §2;
 * `lifecycle-locks.json`.
 */
import { HELD_PAGE } from '../call.ts';
import { EXCLUSIVE } from '../locks.ts';
import type { InterfaceFunction } from '../module.ts';
import { opStateAmong, pageOperand, tdCell, tdGet, tdrOperand } from '../operands.ts';
import { NDA, Pamt, TDCX } from '../pamt.ts';
import { PAGE_LAST, TDR_LAST } from '../release.ts';
import * as S from '../status.ts';
import { IN_UNINITIALIZED, KEYS_CONFIGURED, MAX_TDCX, MIN_TDCX, ROOT_TDCX, TD } from '../td.ts';

export const mngAddcx: InterfaceFunction = {
  name: 'TDH.MNG.ADDCX',
  release: [...TDR_LAST, ...PAGE_LAST],
  *run(tdx, call) {
    const { m, memory, pamt } = tdx;
    const { rcx, rdx, inject } = call.in;
    let status: S.Status;

    // LOCK: the TDR, exclusively
    if ((status = yield* tdrOperand(tdx, call, rdx, S.OPERANDS.RDX, EXCLUSIVE)) !== S.SUCCESS)
      return status;

    // GUARD: TD state; room for one more; the page, which is locked and filled before the last checks
    if (tdGet(tdx, call, TD.FATAL) !== 0) return S.TD_FATAL;
    if (tdGet(tdx, call, TD.LIFECYCLE) !== KEYS_CONFIGURED) return S.TD_KEYS_NOT_CONFIGURED;
    const count = tdGet(tdx, call, TD.NUM_TDCX);
    if (count === MAX_TDCX) return S.TDCX_NUM_INCORRECT;
    status = yield* pageOperand(tdx, call, HELD_PAGE, rcx, S.OPERANDS.RCX, EXCLUSIVE, NDA);
    if (status !== S.SUCCESS) return status;
    memory.zero(call.page);
    if (count === MIN_TDCX - 1 && inject === 'rdseedFails') return S.RND_NO_ENTROPY;
    if (count >= MIN_TDCX && (status = opStateAmong(tdx, call, IN_UNINITIALIZED)) !== S.SUCCESS)
      return status;

    // EFFECT: counts and the page
    if (count === ROOT_TDCX) m.poke(tdCell(tdx, call, TD.SEPT_ROOT), call.page);
    yield* m.write(tdCell(tdx, call, TD.NUM_TDCX), count + 1);
    yield* m.write(tdCell(tdx, call, TD.CHLDCNT), tdGet(tdx, call, TD.CHLDCNT) + 1);
    yield* m.write(pamt.meta(call.page, 0), Pamt.pack(TDCX, call.tdr));
    return S.SUCCESS;
  },
};
