/** The outcome of a call on an entry in each state that a TD without migration has. */
import {
  BLOCKED,
  FREE,
  MAPPED,
  NL_BLOCKED,
  NL_MAPPED,
  PENDING,
  PENDING_BLOCKED,
  stateName,
  withState,
  type EntryState,
} from '../../../spec/tdx/entry.ts';
import { SIZES } from '../../../spec/tdx/pamt.ts';
import { tableAt } from '../../../spec/tdx/rules/tree.ts';
import { TD } from '../../../spec/tdx/td.ts';
import { SEPT_FUNCTIONS, type ModuleVersion } from '../../../spec/tdx/versions/index.ts';
import { PreparedCall, type CallRow } from './calls.ts';
import { outcomeOf } from './outcome.ts';

/** The outcomes of a call, and the states for which each is the outcome. */
type Outcomes = ReadonlyMap<string, readonly string[]>;

/** An entry: its level and GFN, and the calls that make it what it can be from FREE. */
interface Place {
  readonly level: number;
  readonly gfn: number;
  readonly states: readonly EntryState[];
  /** Calls after which the entry is present. */
  readonly builds: (children: boolean) => string;
}

/** Two pages that the guest has accepted. */
const CHILDREN = '; aug 2; aug 3; in 0; accept 2; accept 3; out 0';
const LEAF_STATES = [MAPPED, BLOCKED, PENDING, PENDING_BLOCKED];
const TABLE_STATES = [NL_MAPPED, NL_BLOCKED];

const PLACES: readonly Place[] = [
  { level: 0, gfn: 0, states: [FREE], builds: () => '' },
  { level: 0, gfn: 0, states: LEAF_STATES, builds: () => 'aug 0' },
  { level: 1, gfn: 2, states: [FREE], builds: () => '' },
  { level: 1, gfn: 2, states: LEAF_STATES, builds: () => 'aug-huge 2' },
  {
    level: 1,
    gfn: 2,
    states: TABLE_STATES,
    builds: (children) => `sept-add 2${children ? CHILDREN : ''}`,
  },
];

/** Whether a row is about an entry. */
export const isAboutEntry = ({ title }: CallRow): boolean =>
  title !== 'TDH.VP.ENTER' && SEPT_FUNCTIONS.some((name) => name === title);

/** Functions of a TD that is being built; others are called on one that runs. */
const WHILE_BUILDING: readonly string[] = ['TDH.MEM.PAGE.ADD', 'TDH.MR.EXTEND'];
/** Functions whose operand is a GPA without a level: they find a leaf of any size. */
const WITHOUT_LEVEL: readonly string[] = ['TDH.MEM.RD', 'TDH.MEM.WR', 'TDH.MR.EXTEND'];
const GUEST_CALL = 'TDG.MEM.PAGE.ACCEPT';
const MERGES = 'TDH.MEM.PAGE.PROMOTE';
/** The function has no entry at that level. */
const NO_SUCH_LEVEL = 'OPERAND_INVALID|RCX';
/** GFN of the pages that no place has. */
const UNUSED_GFN = 4;

/** Tries a call on each entry. A blocked one is tracked; a table is empty, or full for PROMOTE. */
export function entryOutcomes(module: ModuleVersion, row: CallRow): Outcomes {
  const outcomes = new Map<string, string[]>();
  for (const place of PLACES) {
    const prepared = preparedAt(module, row, place);
    for (const state of place.states) {
      const outcome = outcomeIn(prepared, row, place, state);
      if (outcome === NO_SUCH_LEVEL) continue;
      const found = outcomes.get(outcome) ?? [];
      found.push(`${stateName(state)}@${SIZES[place.level]}`);
      outcomes.set(outcome, found);
    }
  }
  return outcomes;
}

function preparedAt(module: ModuleVersion, row: CallRow, { builds }: Place): PreparedCall {
  const before = [builds(row.title === MERGES), row.title === GUEST_CALL ? 'in 0' : ''];
  return new PreparedCall(module, {
    ...row,
    begins: WHILE_BUILDING.includes(row.title) ? 'INITIALIZED' : 'RUNNABLE',
    before: before.filter((calls) => calls !== '').join('; '),
  });
}

function outcomeIn(
  prepared: PreparedCall,
  { title }: CallRow,
  { gfn, level }: Place,
  state: EntryState,
): string {
  const { rig } = prepared;
  const { m, memory, tdx, tdr } = rig;
  const { rcx } = rig.mapping(gfn, WITHOUT_LEVEL.includes(title) ? 0 : level);
  const call = prepared.run({ rcx, r8: rig.address(rig.sparePage(UNUSED_GFN)) }, () => {
    const cell = memory.word(tableAt(tdx, tdr, gfn, level), tdx.geometry.index(gfn, level));
    m.poke(cell, withState(m.peek(cell), state));
    m.poke(memory.word(tdr, TD.DEBUG), 1); // MEM.RD and MEM.WR want a debug TD
  });
  return outcomeOf(call);
}
