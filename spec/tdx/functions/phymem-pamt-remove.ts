/**
 * TDH.PHYMEM.PAMT.REMOVE: returns the pair of pages with the PAMT entries of a range of 2M, none of
 * whose 4K pages is in use.
 *
 * RCX the range, with level 2M in bits 2:0; it is locked exclusively. Returns the pages in RDX and
 * R8. The entries are checked one by one, and the count of pages in use is only compared: a
 * function that has freed the last page and not yet counted it makes the module halt.
 *
 * From the series and the source of a later module, not measured. Source: Dynamic PAMT series v4,
 * patch 7 (leaf 59; Nov 2025); intel/tdx-module 1.5.25,
 * src/vmm_dispatcher/api_calls/tdh_phymem_pamt_remove.c: tdh_phymem_pamt_remove(); see
 * pamt-pairs.ts.
 */
import type { InterfaceFunction } from '../module.ts';
import { returnPair } from '../pair-operands.ts';
import { NDA, NO_OWNER, Pamt, PAMT } from '../pamt.ts';
import { PAGE_LAST } from '../release.ts';
import * as S from '../status.ts';
import { lockRange, rangeOperand } from './phymem-pamt-add.ts';

/** Returns the PAMT pages of a range. */
export const phymemPamtRemove: InterfaceFunction = {
  name: 'TDH.PHYMEM.PAMT.REMOVE',
  release: PAGE_LAST,
  *run(tdx, call) {
    const { m, pamt, geometry } = tdx;
    const { pairs } = pamt;
    let status: S.Status;

    // GUARD
    // 1. feature; range
    if (pairs === null) return S.on(S.OPERAND_INVALID, S.OPERANDS.RAX);
    if ((status = rangeOperand(tdx, call)) !== S.SUCCESS) return status;

    // LOCK
    // 2. range, exclusive
    if ((status = yield* lockRange(tdx, call)) !== S.SUCCESS) return status;
    const range = call.page;

    // GUARD
    // 3. the range has a pair
    if (call.level !== 1 || (yield* m.read(pamt.meta(range, 1))) !== Pamt.pack(PAMT, NO_OWNER))
      return S.on(S.NO_PAMT_PAGE_PAIR, S.OPERANDS.RCX);
    // 4. none of its pages is in use
    for (let i = 0; i < geometry.span(1); i++) {
      const meta = yield* m.read(pamt.meta(range + i, 0));
      if (Pamt.typeOf(meta) !== NDA) return S.on(S.PAMT_PAGE_NOT_EMPTY, pairs.half(range + i));
    }
    // 5. none is counted
    if ((yield* m.read(pairs.count(range))) !== 0) return S.MODULE_HALT;

    // EFFECT
    // 6. pages: the host's again; the range is no node any more
    [call.rdx, call.r8] = yield* returnPair(tdx, pairs, range);
    yield* m.write(pamt.meta(range, 1), Pamt.pack(NDA, NO_OWNER));
    return S.SUCCESS;
  },
};
