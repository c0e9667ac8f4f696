/**
 * TDH.PHYMEM.PAGE.WBINVD: writes back and invalidates the cache lines of a free page.
 *
 * RCX the page, with the HKID under which it is cached; any HKID is accepted. Where PAMT is dynamic
 * the page may be of a free range without PAMT pages, as one that was removed at 2M is.
 *
 * Source: ABI Reference 348551, TDH.PHYMEM.PAGE.WBINVD leaf (leaf 41); intel/tdx-module 1.5.01,
 * src/vmm_dispatcher/api_calls/tdh_phymem_page_wbinvd.c: tdh_phymem_page_wbinvd(); the same of a
 * later version, commit 1666adc, which does not walk to a 4K entry.
 */
import { HELD_PAGE } from '../call.ts';
import { SHARED } from '../locks.ts';
import type { InterfaceFunction } from '../module.ts';
import { pageOperand } from '../operands.ts';
import { NDA } from '../pamt.ts';
import { PAGE_LAST } from '../release.ts';
import * as S from '../status.ts';

const MAX_PA = 2 ** 52;

export const phymemPageWbinvd: InterfaceFunction = {
  name: 'TDH.PHYMEM.PAGE.WBINVD',
  release: PAGE_LAST,
  *run(tdx, call) {
    const { rcx } = call.in;

    // GUARD and LOCK
    // 1. page, without its HKID: free, shared
    if (rcx < 0 || rcx >= MAX_PA) return S.on(S.OPERAND_INVALID, S.OPERANDS.RCX);
    const hpa = rcx % 2 ** tdx.platform.hkidShift;
    return yield* pageOperand(tdx, call, HELD_PAGE, hpa, S.OPERANDS.RCX, SHARED, NDA, false);
  },
};
