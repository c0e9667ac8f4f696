/**
 * Release orders that several functions share. A role that the call does not hold is skipped, so
 * one order serves every way out of a function.
 *
 * Source: the EXIT parts of the functions in intel/tdx-module 1.5.01,
 * src/vmm_dispatcher/api_calls/; measured: docs/module-notes.md#release-order.
 */
import {
  HELD_ENTRY,
  HELD_IMPLICIT,
  HELD_OP_STATE,
  HELD_PAGE,
  HELD_PAIR,
  HELD_TDR,
  HELD_TDVPR,
  HELD_TREE,
  parent1G,
  parent2M,
  type Role,
} from './call.ts';

/** A walked operand: the leaf, then its PAMT parents. */
const walked = (role: Role): Role[] => [role, parent2M(role), parent1G(role)];

export const TDR_LAST: readonly Role[] = walked(HELD_TDR);
export const PAGE_LAST: readonly Role[] = walked(HELD_PAGE);
/** The pages for the PAMT entries of a range, the second first. */
export const PAIR_LAST: readonly Role[] = HELD_PAIR.toReversed().flatMap(walked);
export const PAGE_THEN_TDR: readonly Role[] = [...walked(HELD_PAGE), ...walked(HELD_TDR)];
/** Entry, tree, OP_STATE, TDR: functions without a page operand. */
export const ENTRY_TO_TDR: readonly Role[] = [HELD_ENTRY, HELD_TREE, HELD_OP_STATE, ...TDR_LAST];
/** The TDR is released first, while the others still protect what it guards (finding F13). */
export const TDR_THEN_ENTRY: readonly Role[] = [...TDR_LAST, HELD_ENTRY, HELD_TREE, HELD_OP_STATE];
/** The new page is released after the entry (SEPT.ADD, PAGE.AUG). */
export const ENTRY_PAGE_TO_TDR: readonly Role[] = [
  HELD_ENTRY,
  ...walked(HELD_PAGE),
  HELD_TREE,
  HELD_OP_STATE,
  ...TDR_LAST,
];
/** The pages are released before the entry (RELOCATE, DEMOTE, PROMOTE, the two REMOVEs). */
export const PAGES_ENTRY_TO_TDR: readonly Role[] = [
  ...walked(HELD_PAGE),
  HELD_IMPLICIT,
  HELD_ENTRY,
  HELD_TREE,
  HELD_OP_STATE,
  ...TDR_LAST,
];
export const TDVPR_LAST: readonly Role[] = walked(HELD_TDVPR);
