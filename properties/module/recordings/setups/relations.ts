/**
 * What the relations between X and Y mean in the Secure EPT pairs. X's entry is at GPA 0 of TD 0.
 *
 * Source: the names, and the addresses and CHLDCNT values that the recordings have with them.
 */
import { SetupError } from './setups.ts';

/** What a relation says of Y, seen from X. */
export interface Relation {
  /** Y's entry is at X's GPA, but so many levels higher. */
  readonly levels?: number;
  /** Y has an entry of its own, so many bytes further on; `next`: the next entry of the same table. */
  readonly apart?: number | 'next';
  readonly otherTd?: true;
  /** Y is about X's VCPU, on another LP. */
  readonly otherLp?: true;
  /**
   * The two share a physical page. `added`: as a new one; `any`: one adds what the other has, or
   * both add it; `inside`: the one page lies within the other's 2 MiB.
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

/** Throws a SetupError for a name that is none. */
export function relationNamed(name: string): Relation {
  const found = RELATIONS.get(name);
  if (found === undefined) throw new SetupError(`there is no set-up for the relation ${name}`);
  return found;
}

/** Does Y have an entry of its own? */
export const isSeparate = ({ apart, otherTd }: Relation): boolean =>
  apart !== undefined || otherTd === true;
