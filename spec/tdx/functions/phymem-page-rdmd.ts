/**
 * TDH.PHYMEM.PAGE.RDMD: reads the PAMT entry of a page, at the size at which the page is assigned.
 *
 * RCX the page. Returns its type in RCX, its owner in RDX, its size in R8; for private memory and
 * Secure EPT pages also its BEPOCH in R9. Where PAMT is dynamic, a page of a pair has the type
 * PAMT; a size in RCX, which later modules take, is not modelled.
 *
 * Source: ABI Reference 348551, TDH.PHYMEM.PAGE.RDMD leaf (leaf 24); intel/tdx-module 1.5.01,
 * src/vmm_dispatcher/api_calls/tdh_phymem_page_rdmd.c: tdh_phymem_page_rdmd().
 */
import { HELD_PAGE, type Call } from '../call.ts';
import { epochOfWord, isFar } from '../epoch.ts';
import { SHARED } from '../locks.ts';
import type { InterfaceFunction, TdxModule } from '../module.ts';
import { addressOf, isBadAddress, pageNumber, walkPamt } from '../operands.ts';
import { EPT, NDA, NO_OWNER, PAMT, REG } from '../pamt.ts';
import { PAGE_LAST } from '../release.ts';
import * as S from '../status.ts';

export const phymemPageRdmd: InterfaceFunction = {
  name: 'TDH.PHYMEM.PAGE.RDMD',
  release: PAGE_LAST,
  *run(tdx, call) {
    const { rcx } = call.in;

    // GUARD
    // 1. address
    if (isBadAddress(tdx, rcx, 1)) return S.on(S.OPERAND_INVALID, S.OPERANDS.RCX);
    const page = pageNumber(tdx, rcx);
    if (page < 0) return S.on(S.OPERAND_ADDR_RANGE_ERROR, S.OPERANDS.RCX);

    // LOCK
    // 2. page, shared, at its size
    const size = yield* walkPamt(tdx, call, HELD_PAGE, page, SHARED);
    if (size < 0) return S.on(S.OPERAND_BUSY, S.OPERANDS.RCX);

    // EFFECT
    // 3. RCX, RDX, R8, R9 := the PAMT entry
    reportPage(tdx, call, page, size);
    if (call.rcx === NDA && tdx.pamt.pairs?.isPamtPage(page) === true) {
      call.rcx = PAMT;
      call.rdx = 0;
      call.r8 = 0;
    }
    const bepoch = yield* tdx.m.read(tdx.pamt.bepoch(page, size));
    if (call.rcx === REG || call.rcx === EPT) {
      call.r9 = bepoch;
      if (isFar(bepoch)) call.wide = { r9: epochOfWord(bepoch) };
    }
    return S.SUCCESS;
  },
};

/** Reports type in RCX, owner in RDX, size in R8. A free page still has its last owner. */
export function reportPage(tdx: TdxModule, call: Call, page: number, size: number): void {
  const owner = tdx.pamt.owner(page, size);
  call.rcx = tdx.pamt.type(page, size);
  call.rdx = owner === NO_OWNER ? 0 : addressOf(tdx, owner);
  call.r8 = size;
}
