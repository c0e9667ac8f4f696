/**
 * TDH.PHYMEM.PAMT.ADD: adds a pair of pages for the PAMT entries of the 4K pages of a range of 2M,
 * which from then on may be given to TDs one by one.
 *
 * RCX the range, with level 2M in bits 2:0; RDX and R8 the pages, which need not be neighbours. The
 * 2M entry of the range is locked exclusively, those of the pages shared.
 *
 * From the series and the source of a later module, not measured. Source: Dynamic PAMT series v4,
 * patch 7 (leaf 58; Nov 2025); intel/tdx-module 1.5.25,
 * src/vmm_dispatcher/api_calls/tdh_phymem_pamt_add.c: tdh_phymem_pamt_add(); see pamt-pairs.ts.
 */
import { WRITE, type Steps, access } from '../../machine/step.ts';
import { HELD_PAGE, type Call } from '../call.ts';
import { EXCLUSIVE } from '../locks.ts';
import type { InterfaceFunction, TdxModule } from '../module.ts';
import { isBadAddress, pageNumber, refuseWalked, walkPamt } from '../operands.ts';
import {
  pagesOfPair,
  pairAddress,
  pairInTdmr,
  takePair,
  type PairOperands,
} from '../pair-operands.ts';
import { PAIR } from '../pamt-pairs.ts';
import { NDA, NO_OWNER, Pamt, PAMT } from '../pamt.ts';
import { PAGE_LAST, PAIR_LAST } from '../release.ts';
import * as S from '../status.ts';

const LEVEL_2M = 1;

/** Adds the PAMT pages of a range. */
export const phymemPamtAdd: InterfaceFunction = {
  name: 'TDH.PHYMEM.PAMT.ADD',
  release: [...PAIR_LAST, ...PAGE_LAST],
  *run(tdx, call) {
    const { m, pamt } = tdx;
    const { pairs } = pamt;
    const { rdx, r8 } = call.in;
    let status: S.Status;

    // GUARD
    // 1. feature
    if (pairs === null) return S.on(S.OPERAND_INVALID, S.OPERANDS.RAX);
    // 2. range; pages
    const pair: PairOperands = { hpas: [rdx, r8], operands: [S.OPERANDS.RDX, S.OPERANDS.R8] };
    if ((status = rangeOperand(tdx, call)) !== S.SUCCESS) return status;
    for (const i of PAIR) {
      if ((status = pairAddress(tdx, pair, i)) !== S.SUCCESS) return status;
      if ((status = pairInTdmr(tdx, pair, i)) !== S.SUCCESS) return status;
    }

    // LOCK
    // 3. range, exclusive
    if ((status = yield* lockRange(tdx, call)) !== S.SUCCESS) return status;
    const range = call.page;

    // GUARD
    // 4. the range is free, and no node yet
    if (pamt.type(range, LEVEL_2M) !== NDA || call.level !== LEVEL_2M)
      return S.on(S.HPA_RANGE_NOT_FREE, S.OPERANDS.RCX);

    // LOCK and GUARD
    // 5. pages, shared; free, and no PAMT pages yet
    if ((status = yield* takePair(tdx, call, pairs, pair, range)) !== S.SUCCESS) return status;

    // EFFECT
    // 6. entries: free; the range is a node
    yield access(pamt.meta(range, LEVEL_2M), WRITE);
    for (let i = 0; i < tdx.geometry.span(LEVEL_2M); i++) {
      m.poke(pamt.meta(range + i, 0), 0);
      m.poke(pamt.bepoch(range + i, 0), 0);
    }
    pairs.set(range, pagesOfPair(tdx, pair));
    m.poke(pairs.count(range), 0);
    m.poke(pamt.meta(range, LEVEL_2M), Pamt.pack(PAMT, NO_OWNER));
    return S.SUCCESS;
  },
};

/** The range in RCX: level 2M in bits 2:0, aligned to it, no HKID bits. */
export function rangeOperand(tdx: TdxModule, call: Call): S.Status {
  const { rcx } = call.in;
  const isRange = rcx >= 0 && rcx % 8 === LEVEL_2M;
  return isRange && !isBadAddress(tdx, rcx - LEVEL_2M, tdx.geometry.span(LEVEL_2M))
    ? S.SUCCESS
    : S.on(S.OPERAND_INVALID, S.OPERANDS.RCX);
}

/** Locks the 2M entry of the range in RCX exclusively, or the 1G entry if that is a page. */
export function* lockRange(tdx: TdxModule, call: Call): Steps<S.Status> {
  const range = pageNumber(tdx, call.in.rcx - LEVEL_2M);
  if (range < 0 || range + tdx.geometry.span(LEVEL_2M) > tdx.memory.pages)
    return S.on(S.OPERAND_ADDR_RANGE_ERROR, S.OPERANDS.RCX);
  const size = yield* walkPamt(tdx, call, HELD_PAGE, range, EXCLUSIVE, LEVEL_2M);
  if (size < 0)
    return yield* refuseWalked(tdx, call, HELD_PAGE, S.on(S.OPERAND_BUSY, S.OPERANDS.RCX));
  call.page = range;
  call.level = size;
  return S.SUCCESS;
}
