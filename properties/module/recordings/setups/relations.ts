/**
 * The relations between X and Y in the Secure EPT pairs. X's entry is at GPA 0 of TD 0.
 *
 * Source: the names, and the addresses and CHLDCNT values that the recordings have with them.
 */

/** Y, seen from X. */
export interface Relation {
  /** Number of levels by which Y's entry is above X's, at the same GPA. */
  readonly levels?: number;
  /** Distance in bytes to Y's own entry; `next`: the next entry of the same table. */
  readonly apart?: number | 'next';
  readonly otherTd?: true;
  /** Y is about X's vCPU, on another LP. */
  readonly otherLp?: true;
  /**
   * The physical page that both share. `added`: both add it, or Y is about the page that X adds;
   * `any`: one adds the page that the other has mapped, or both add it; `inside`: one page lies
   * within the other's 2M page.
   */
  readonly page?: 'added' | 'any' | 'inside';
}

const MIB = 2 ** 20;
const GIB = 2 ** 30;

const COMMON: readonly (readonly [string, Relation])[] = [
  ['sameEntry', {}],
  ['yOnParentEntry', { levels: 1 }],
  ['yOnParentEntryOfX', { levels: 1 }],
  ['yOnGrandparentEntryOfX', { levels: 2 }],
  ['yOnChildEntry', { levels: -1 }],
  ['yOnChildEntryOfX', { levels: -1 }],
  ['sameSeptPageOtherEntry', { apart: 'next' }],
  ['sameSeptPageDifferentEntry', { apart: 'next' }],
  ['different2M', { apart: 2 * MIB }],
  ['different1G', { apart: GIB }],
  ['differentTD', { otherTd: true }],
  ['differentTDsamePhysical4KOperand', { otherTd: true, page: 'added' }],
  ['y4KOperandInsideX2MOperand', { apart: GIB, page: 'inside' }],
  ['sameVCPUotherLP', { otherLp: true }],
];

export const RELATIONS_1_5: ReadonlyMap<string, Relation> = new Map([
  ...COMMON,
  ['otherSubtree', { apart: GIB }],
  ['samePhysicalPage', { apart: GIB, page: 'any' }],
  ['samePhysical4KOperand', { apart: GIB, page: 'added' }],
]);

export const RELATIONS_1_0: ReadonlyMap<string, Relation> = new Map([
  ...COMMON,
  ['yOnGrandparentEntry', { levels: 2 }],
  ['otherSubtree', { apart: 2 * MIB }],
  ['samePhysicalPage', { apart: 'next', page: 'added' }],
  ['samePhysical4KOperand', { apart: 'next', page: 'added' }],
  ['samePhysicalPageOtherTD', { otherTd: true, page: 'added' }],
  ['y4KPageInsideX2MPage', { apart: GIB, page: 'inside' }],
  ['yOnNewPageOfX', { page: 'added' }],
  ['yOnNewPageOperandOfX', { page: 'added' }],
]);

/** Y has an entry of its own. */
export const isSeparate = ({ apart, otherTd }: Relation): boolean =>
  apart !== undefined || otherTd === true;
