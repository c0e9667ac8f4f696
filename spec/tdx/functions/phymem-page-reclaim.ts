/**
 * TDH.PHYMEM.PAGE.RECLAIM: reclaims a page from a TD in teardown. The Secure EPT is neither read
 * nor changed.
 *
 * RCX the page, of any size. Returns its type in RCX, its owner in RDX, its size in R8, also with a
 * refusal that comes after step 3. Pages may come in any order, except that the TDR is last. A
 * fatal TD is not refused.
 *
 * Source: ABI Reference 348551, TDH.PHYMEM.PAGE.RECLAIM leaf (leaf 28); intel/tdx-module 1.5.01,
 * src/vmm_dispatcher/api_calls/tdh_phymem_page_reclaim.c: tdh_phymem_page_reclaim();
 * docs/module-notes.md#life-cycle.
 */
import { HELD_PAGE, HELD_TDR } from '../call.ts';
import { EXCLUSIVE } from '../locks.ts';
import type { InterfaceFunction } from '../module.ts';
import { implicitTdr, isBadAddress, pageNumber, tdCell, tdGet, walkPamt } from '../operands.ts';
import { freePage, uncountPage } from '../pages.ts';
import { NDA, RSVD, TDR } from '../pamt.ts';
import { PAGE_LAST } from '../release.ts';
import * as S from '../status.ts';
import { TD, TEARDOWN } from '../td.ts';
import { reportPage } from './phymem-page-rdmd.ts';

export const phymemPageReclaim: InterfaceFunction = {
  name: 'TDH.PHYMEM.PAGE.RECLAIM',
  release: [HELD_TDR, ...PAGE_LAST],
  *run(tdx, call) {
    const { m, pamt, geometry } = tdx;
    const { rcx } = call.in;

    // GUARD
    // 1. address
    if (isBadAddress(tdx, rcx, 1)) return S.on(S.OPERAND_INVALID, S.OPERANDS.RCX);
    const page = pageNumber(tdx, rcx);
    if (page < 0) return S.on(S.OPERAND_ADDR_RANGE_ERROR, S.OPERANDS.RCX);

    // LOCK
    // 2. page, exclusive, at its size
    const size = yield* walkPamt(tdx, call, HELD_PAGE, page, EXCLUSIVE);
    if (size < 0) return S.on(S.OPERAND_BUSY, S.OPERANDS.RCX);

    // GUARD
    // 3. page type
    const type = pamt.type(page, size);
    if (type === NDA || type === RSVD) return S.on(S.PAGE_METADATA_INCORRECT, S.OPERANDS.RCX);
    reportPage(tdx, call, page, size);
    // 4. alignment to the page's size
    if (geometry.align(page, size) !== page) return S.on(S.OPERAND_INVALID, S.OPERANDS.RCX);

    // LOCK
    // 5. TDR of the owner, shared
    if (type === TDR) call.tdr = page;
    else {
      const status = yield* implicitTdr(tdx, call, pamt.owner(page, size));
      if (status !== S.SUCCESS) return status;
    }

    // GUARD
    // 6. life cycle; a TDR has no pages left
    if (tdGet(tdx, call, TD.LIFECYCLE) !== TEARDOWN) return S.LIFECYCLE_STATE_INCORRECT;
    if (type === TDR && tdGet(tdx, call, TD.CHLDCNT) !== 0) return S.TD_ASSOCIATED_PAGES_EXIST;

    // EFFECT
    // 7. CHLDCNT; PAMT
    if (type !== TDR) yield* m.add(tdCell(tdx, call, TD.CHLDCNT), -geometry.span(size));
    yield* freePage(tdx, page, size);
    call.r9 = yield* uncountPage(tdx, page);
    return S.SUCCESS;
  },
};
