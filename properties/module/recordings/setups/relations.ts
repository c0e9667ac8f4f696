/**
 * The relations between X and Y in the Secure EPT pairs. X's entry is at GPA 0 of TD 0.
 *
 * Source: the names, and the addresses and CHLDCNT values that the recordings have with them.
 */
import { SetupError } from './testbed.ts';

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
   * The physical page that both share. `added`: both add it; `any`: one adds the page that the
   * other has mapped, or both add it; `inside`: one page lies within the other's 2M page.
   */
  readonly page?: 'added' | 'any' | 'inside';
}

const MIB = 2 ** 20;
const GIB = 2 ** 30;

const RELATIONS: ReadonlyMap<string, Relation> = new Map<string, Relation>([
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
  ['otherSubtree', { apart: GIB }],
  ['differentTD', { otherTd: true }],
  ['samePhysicalPage', { apart: GIB, page: 'any' }],
  ['samePhysical4KOperand', { apart: GIB, page: 'added' }],
  ['differentTDsamePhysical4KOperand', { otherTd: true, page: 'added' }],
  ['y4KOperandInsideX2MOperand', { apart: GIB, page: 'inside' }],
  ['sameVCPUotherLP', { otherLp: true }],
]);

/** Returns the relation of that name. @throws SetupError if there is none */
export function relationNamed(name: string): Relation {
  const found = RELATIONS.get(name);
  if (found === undefined) throw new SetupError(`there is no set-up for the relation ${name}`);
  return found;
}

/** Y has an entry of its own. */
export const isSeparate = ({ apart, otherTd }: Relation): boolean =>
  apart !== undefined || otherTd === true;
