/**
 * The pair of pages that holds the PAMT entries of a range, as operands of PAMT.ADD and DEMOTE.
 * From the source of a later module, not measured.
 *
 * Source: intel/tdx-module 1.5.25, src/vmm_dispatcher/api_calls/tdh_phymem_pamt_add.c:
 * tdh_phymem_pamt_add(); src/common/memory_handlers/pamt_manager.c: pamt_demote(); see
 * pamt-pairs.ts.
 */
import { PAGE_BYTES } from '../machine/memory.ts';
import { RMW, type Steps, access } from '../machine/step.ts';
import { HELD_PAIR, type Call, type Register } from './call.ts';
import { SHARED } from './locks.ts';
import type { TdxModule } from './module.ts';
import { isBadAddress, pageNumber, walkPamt } from './operands.ts';
import { PAIR, type PamtPairs } from './pamt-pairs.ts';
import { NDA } from './pamt.ts';
import * as S from './status.ts';

/** The two registers of a pair: values, and their ids as operands. */
export interface PairOperands {
  readonly hpas: readonly [Register, Register];
  readonly operands: readonly [number, number];
}

/** A page of the pair: an address without HKID bits, below the limit. */
export const pairAddress = (tdx: TdxModule, { hpas, operands }: PairOperands, i: 0 | 1): S.Status =>
  isBadAddress(tdx, hpas[i], 1) ? S.on(S.OPERAND_INVALID, operands[i]) : S.SUCCESS;

/** A page of the pair: in the TDMR. */
export const pairInTdmr = (tdx: TdxModule, { hpas, operands }: PairOperands, i: 0 | 1): S.Status =>
  pageNumber(tdx, hpas[i]) < 0 ? S.on(S.OPERAND_ADDR_RANGE_ERROR, operands[i]) : S.SUCCESS;

/** Page numbers of a pair whose addresses are valid. */
export const pagesOfPair = (tdx: TdxModule, { hpas }: PairOperands): [number, number] => [
  pageNumber(tdx, hpas[0]),
  pageNumber(tdx, hpas[1]),
];

/**
 * Locks both pages, shared, and marks them as PAMT pages. Neither may be in use, for whatever. A
 * page of the range `own`, whose entry the call holds exclusively, is not walked to; -1 for none.
 */
export function* takePair(
  tdx: TdxModule,
  call: Call,
  pairs: PamtPairs,
  pair: PairOperands,
  own: number,
): Steps<S.Status> {
  const pages = pagesOfPair(tdx, pair);
  for (const i of PAIR) {
    const page = pages[i];
    if (tdx.geometry.align(page, 1) === own) continue;
    const size = yield* walkPamt(tdx, call, HELD_PAIR[i], page, SHARED);
    if (size < 0) return S.on(S.OPERAND_BUSY, pair.operands[i]);
    if (tdx.pamt.type(page, size) !== NDA) return S.on(S.PAGE_NOT_FREE, pair.operands[i]);
  }
  for (const i of PAIR) {
    const bit = pairs.bit(pages[i]);
    yield access(bit, RMW);
    if (tdx.m.peek(bit) === 0) {
      tdx.m.poke(bit, 1);
      continue;
    }
    if (i === 1) yield* tdx.m.write(pairs.bit(pages[0]), 0);
    return S.on(S.PAGE_NOT_FREE, pair.operands[i]);
  }
  return S.SUCCESS;
}

/** Returns both pages of the pair of a range to the host; their addresses. */
export function* returnPair(
  tdx: TdxModule,
  pairs: PamtPairs,
  range: number,
): Steps<[Register, Register]> {
  const hpa = (page: number): Register => (page + tdx.platform.tdmrBase) * PAGE_BYTES;
  const pages = [pairs.pageOf(range, 0), pairs.pageOf(range, 1)] as const;
  for (const page of pages) yield* tdx.m.write(pairs.bit(page), 0);
  return [hpa(pages[0]), hpa(pages[1])];
}
