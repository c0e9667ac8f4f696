/**
 * The names from which generated pairs of calls are drawn, by the conventions of the recorder of
 * the module's family.
 */
import type { Conventions } from '../setups/conventions.ts';
import { functionNames } from '../setups/functions.ts';
import { LIFECYCLE_FUNCTIONS, VP_INIT_1 } from '../setups/lifecycle-functions.ts';
import { stageNames } from '../setups/stages.ts';

/** Values with a probability in proportion to their weight. */
export type Weighted = readonly (readonly [weight: number, name: string])[];

/** A function of a life-cycle pair, and how it is called. */
export interface NamedCall {
  readonly name: string;
  /** Absent if the recorder gives none. */
  readonly which?: string;
}

interface Vocabulary {
  readonly functions: readonly string[];
  readonly lifecycleFunctions: readonly NamedCall[];
  readonly stages: readonly string[];
  readonly conflictRelations: Weighted;
  readonly stepRelations: Weighted;
  readonly lifecycleRelations: Weighted;
  /** The life-cycle relations in which Y is about a second TD. */
  readonly ofOtherTd: ReadonlySet<string>;
  /** The name of Y's entry, where it is a position relative to X's. */
  readonly positions: ReadonlyMap<string, string>;
}

const CONFLICT_RELATIONS: Weighted = [
  [6, 'sameEntry'],
  [2, 'sameSeptPageDifferentEntry'],
  [2, 'yOnParentEntryOfX'],
  [1, 'yOnChildEntryOfX'],
  [1, 'different1G'],
  [1, 'differentTD'],
  [2, 'samePhysical4KOperand'],
  [1, 'y4KOperandInsideX2MOperand'],
  [1, 'sameVCPUotherLP'],
];
const STEP_RELATIONS: Weighted = [
  [6, 'sameEntry'],
  [1, 'yOnParentEntry'],
  [1, 'yOnChildEntry'],
  [2, 'samePhysicalPage'],
  [1, 'sameSeptPageOtherEntry'],
];
const POSITIONS_OF_CONFLICTS = [
  ['yOnParentEntryOfX', 'L1 parent'],
  ['yOnChildEntryOfX', 'L0 child'],
] as const;

const VOCABULARY_1_5: Vocabulary = {
  functions: functionNames(false),
  lifecycleFunctions: [...LIFECYCLE_FUNCTIONS['1.5'].keys()]
    .filter((name) => name !== VP_INIT_1)
    .map((name) => ({ name })),
  stages: stageNames('1.5'),
  conflictRelations: CONFLICT_RELATIONS,
  stepRelations: STEP_RELATIONS,
  lifecycleRelations: [
    [6, 'sameTD'],
    [3, 'otherTD'],
    [2, 'samePageOperand'],
    [1, 'sameVCPU'],
    [1, 'sameHKID'],
  ],
  ofOtherTd: new Set(['otherTD', 'sameHKID']),
  positions: new Map([
    ...POSITIONS_OF_CONFLICTS,
    ['yOnParentEntry', 'L1 parent'],
    ['yOnChildEntry', 'L0 child'],
  ]),
};

/** A name and, in parentheses, the case. */
const CALL = /^([^(]*)(?:\((.*)\))?$/;

function namedCall(key: string): NamedCall {
  const [, name = key, which = ''] = CALL.exec(key) ?? [];
  return { name, which };
}

const VOCABULARY_1_0: Vocabulary = {
  functions: functionNames(true),
  lifecycleFunctions: [...LIFECYCLE_FUNCTIONS['1.0'].keys()].map(namedCall),
  stages: stageNames('1.0'),
  conflictRelations: [...CONFLICT_RELATIONS, [1, 'yOnNewPageOperandOfX']],
  stepRelations: [...STEP_RELATIONS, [1, 'samePhysicalPageOtherTD'], [1, 'yOnNewPageOfX']],
  lifecycleRelations: [
    [6, 'sameTD'],
    [3, 'otherTD'],
    [2, 'samePage'],
    [1, 'sameVCPUotherLP'],
  ],
  ofOtherTd: new Set(['otherTD']),
  positions: new Map([
    ...POSITIONS_OF_CONFLICTS,
    ['yOnNewPageOperandOfX', '(new page operand of X)@L0'],
    ['yOnParentEntry', 'L1'],
    ['yOnChildEntry', 'L0'],
    ['yOnNewPageOfX', 'L0'],
  ]),
};

const VOCABULARIES = { '1.0': VOCABULARY_1_0, '1.5': VOCABULARY_1_5 } as const;

/** The names that the recorder with these conventions uses. */
export const vocabularyOf = ({ tables }: Conventions): Vocabulary => VOCABULARIES[tables];
