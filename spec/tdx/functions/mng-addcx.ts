/**
 * TDH.MNG.ADDCX: adds a page to the TD's TDCS. The fourth page is the root of the Secure EPT.
 *
 * RCX the page; RDX TDR, held exclusively and released before the page. A call that is refused for
 * OP_STATE has overwritten the page, which stays free.
 *
 * Source: ABI Reference 348551, TDH.MNG.ADDCX leaf (leaf 1); intel/tdx-module 1.5.01,
 * src/vmm_dispatcher/api_calls/tdh_mng_add_cx.c: tdh_mng_add_cx();
 * docs/module-notes.md#refused-calls.
 */
import { HELD_PAGE } from '../call.ts';
import { EXCLUSIVE } from '../locks.ts';
import type { InterfaceFunction } from '../module.ts';
import { opStateAmong, pageOperand, tdCell, tdGet, tdrOperand } from '../operands.ts';
import { assignStructure, countPage } from '../pages.ts';
import { NDA, TDCX } from '../pamt.ts';
import { PAGE_LAST, TDR_LAST } from '../release.ts';
import * as S from '../status.ts';
import { IN_UNINITIALIZED, KEYS_CONFIGURED, TD } from '../td.ts';

export const mngAddcx: InterfaceFunction = {
  name: 'TDH.MNG.ADDCX',
  release: [...TDR_LAST, ...PAGE_LAST],
  *run(tdx, call) {
    const { m, memory } = tdx;
    const { rcx, rdx, inject } = call.in;
    const { addcxChecksFirst, fatal, tdcx, needsEntropy } = tdx.version;
    let status: S.Status;

    // LOCK
    // 1. TDR, exclusive
    if ((status = yield* tdrOperand(tdx, call, rdx, S.OPERANDS.RDX, EXCLUSIVE)) !== S.SUCCESS)
      return status;

    // GUARD
    // 2. TD state
    if (tdGet(tdx, call, TD.FATAL) !== 0) return fatal;
    if (tdGet(tdx, call, TD.LIFECYCLE) !== KEYS_CONFIGURED) return S.TD_KEYS_NOT_CONFIGURED;
    // 3. OP_STATE (version 1.0); room for one more page
    const count = tdGet(tdx, call, TD.NUM_TDCX);
    if (addcxChecksFirst && (status = opStateAmong(tdx, call, IN_UNINITIALIZED)) !== S.SUCCESS)
      return status;
    if (count === tdcx.max) return S.TDCX_NUM_INCORRECT;
    // 4. page: free, exclusive; filled before the last checks
    status = yield* pageOperand(tdx, call, HELD_PAGE, rcx, S.OPERANDS.RCX, EXCLUSIVE, NDA);
    if (status !== S.SUCCESS) return status;
    memory.zero(call.page);
    // 5. entropy for the sixth page (version 1.5)
    if (needsEntropy && count === tdcx.min - 1 && inject === 'rdseedFails') return S.RND_NO_ENTROPY;
    // 6. OP_STATE for the seventh page and later ones
    if (count >= tdcx.min && (status = opStateAmong(tdx, call, IN_UNINITIALIZED)) !== S.SUCCESS)
      return status;

    // EFFECT
    // 7. S-EPT root, NUM_TDCX, CHLDCNT
    if (count === tdcx.root) m.poke(tdCell(tdx, call, TD.SEPT_ROOT), call.page);
    yield* m.write(tdCell(tdx, call, TD.NUM_TDCX), count + 1);
    yield* m.write(tdCell(tdx, call, TD.CHLDCNT), tdGet(tdx, call, TD.CHLDCNT) + 1);
    // 8. PAMT: TDCX, owner
    yield* assignStructure(tdx, call, TDCX);
    yield* countPage(tdx, call.page);
    return S.SUCCESS;
  },
};
