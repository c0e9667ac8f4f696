/**
 * Every change of an entry that a call of a recorded module made is one that rule T1 allows. The
 * recordings (not shipped) count the calls by function, states before and after, and status.
 */
import { expect, test } from 'vitest';
import { STATES } from '../../../../spec/tdx/entry.ts';
import { TRANSITIONS } from '../../../../spec/tdx/rules/transitions.ts';
import { RECORDED_MODULES, recordedJson, testWith } from './recorded.ts';

interface ObservedRow {
  readonly op: string;
  readonly opState: string;
  readonly before: string;
  /** WALK_STOPPED, if the walk ended above the entry. */
  readonly after: string;
}

/** The table of T1 allows the change, if it is one. */
function isAllowed({ op, opState, before, after }: ObservedRow): boolean {
  if (before === after) return true;
  const { always = [], whileBuilding = [] } = TRANSITIONS.get(op) ?? {};
  const allowed = opState === 'RUNNABLE' ? always : [...always, ...whileBuilding];
  return allowed.some(([from, to]) => STATES[from]?.name === before && STATES[to]?.name === after);
}

for (const module of RECORDED_MODULES) {
  testWith(
    'transitions.json',
    `rule T1 allows every change of an entry that module ${module} was seen to make`,
    () => {
      // testWith has found it
      const { observed } = recordedJson('transitions.json', module) as { observed: ObservedRow[] };
      const reached = observed.filter(({ after }) => after !== 'WALK_STOPPED');
      const changes = reached.filter(({ before, after }) => before !== after);
      expect(reached.filter((row) => !isAllowed(row))).toEqual([]);
      expect(new Set(changes.map(({ op }) => op))).toEqual(new Set(TRANSITIONS.keys()));
    },
    module,
  );
}

test.each([
  ['BLOCKED', 'FREE', 'RUNNABLE', true],
  ['MAPPED', 'FREE', 'INITIALIZED', true],
  ['MAPPED', 'FREE', 'RUNNABLE', false],
  ['BLOCKED', 'PENDING', 'INITIALIZED', false],
])(
  'PAGE.REMOVE of a page that is %s leads to %s in a TD that is %s: %s',
  (before, after, opState, is) => {
    expect(isAllowed({ op: 'TDH.MEM.PAGE.REMOVE', opState, before, after })).toBe(is);
  },
);
