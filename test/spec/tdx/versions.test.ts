/**
 * How each version of the module locks the Secure EPT: the table, and that the functions do as it
 * says.
 */
import { describe, expect, test } from 'vitest';
import type { Operands } from '../../../spec/tdx/call.ts';
import { EXCLUSIVE, SHARED } from '../../../spec/tdx/locks.ts';
import { tableAt } from '../../../spec/tdx/rules/tree.ts';
import { TD } from '../../../spec/tdx/td.ts';
import {
  MODULE_VERSIONS,
  SEPT_FUNCTIONS,
  septLocking,
  type ModuleVersion,
  type SeptFunction,
} from '../../../spec/tdx/versions.ts';
import { TDR, TdRig } from '../../support/td-rig.ts';

type Locks = 'none' | 'tree X' | 'tree S' | 'tree X + entry' | 'tree S + entry' | 'entry';

/** What module 1.5.01 was seen to take (`locks.json`), and what the wording of 1.0 asks for. */
const EXPECTED: Readonly<Record<SeptFunction, readonly [Locks, Locks]>> = {
  'TDH.MEM.SEPT.ADD': ['tree S + entry', 'tree X'],
  'TDH.MEM.SEPT.REMOVE': ['tree X + entry', 'tree X'],
  'TDH.MEM.SEPT.RD': ['tree S + entry', 'tree S'],
  'TDH.MEM.PAGE.ADD': ['none', 'tree X'],
  'TDH.MEM.PAGE.AUG': ['tree S + entry', 'tree X'],
  'TDH.MEM.PAGE.REMOVE': ['tree S + entry', 'tree X'],
  'TDH.MEM.PAGE.PROMOTE': ['tree S + entry', 'tree X'],
  'TDH.MEM.PAGE.DEMOTE': ['tree S + entry', 'tree X'],
  'TDH.MEM.PAGE.RELOCATE': ['tree S + entry', 'tree X'],
  'TDH.MEM.RANGE.BLOCK': ['tree X + entry', 'tree X'],
  'TDH.MEM.RANGE.UNBLOCK': ['tree X + entry', 'tree X'],
  'TDH.MEM.RD': ['tree S + entry', 'tree S'],
  'TDH.MEM.WR': ['tree S + entry', 'tree S'],
  'TDH.MR.EXTEND': ['none', 'tree S'],
  'TDG.MEM.PAGE.ACCEPT': ['entry', 'none'],
  'TDH.VP.ENTER': ['tree X', 'tree X'],
};

/** What makes each function succeed, once there are the tables for GFN 0 and a page at GFN 1. */
const page = (w: TdRig): Partial<Operands> => ({
  r8: w.address(w.sparePage(0)),
  r9: 0x1000_0000,
});
const CALLS: readonly (readonly [SeptFunction, (w: TdRig) => Partial<Operands>])[] = [
  ['TDH.MEM.SEPT.ADD', (w) => ({ ...w.mapping(2, 1), ...page(w) })],
  [
    'TDH.MEM.SEPT.REMOVE',
    (w) => {
      w.must('TDH.MEM.PAGE.REMOVE', w.mapping(1, 0));
      return w.mapping(0, 1);
    },
  ],
  ['TDH.MEM.SEPT.RD', (w) => w.mapping(0, 0)],
  ['TDH.MEM.PAGE.ADD', (w) => ({ ...w.mapping(0, 0), ...page(w) })],
  ['TDH.MEM.PAGE.AUG', (w) => ({ ...w.mapping(0, 0), ...page(w) })],
  ['TDH.MEM.PAGE.REMOVE', (w) => w.mapping(1, 0)],
  [
    'TDH.MEM.PAGE.PROMOTE',
    (w) => {
      w.must('TDH.MEM.PAGE.ADD', {
        ...w.mapping(0, 0),
        r8: w.address(w.pageOf(0)),
        r9: 0x1000_0000,
      });
      return w.mapping(0, 1);
    },
  ],
  [
    'TDH.MEM.PAGE.DEMOTE',
    (w) => {
      w.must('TDH.MEM.PAGE.AUG', { ...w.mapping(2, 1), r8: w.address(w.pageOf(2)) });
      return { ...w.mapping(2, 1), ...page(w) };
    },
  ],
  ['TDH.MEM.PAGE.RELOCATE', (w) => ({ ...w.mapping(1, 0), ...page(w) })],
  ['TDH.MEM.RANGE.BLOCK', (w) => w.mapping(1, 0)],
  [
    'TDH.MEM.RANGE.UNBLOCK',
    (w) => {
      w.must('TDH.MEM.RANGE.BLOCK', w.mapping(1, 0));
      return w.mapping(1, 0);
    },
  ],
  ['TDH.MEM.RD', (w) => w.mapping(1, 0)],
  ['TDH.MEM.WR', (w) => w.mapping(1, 0)],
  ['TDH.MR.EXTEND', (w) => w.mapping(1, 0)],
  [
    'TDG.MEM.PAGE.ACCEPT',
    (w) => {
      w.must('TDH.MEM.PAGE.AUG', { ...w.mapping(0, 0), ...page(w) });
      return { ...w.mapping(0, 0), vcpu: w.tdvpr(0) };
    },
  ],
];

/** Which of tree and entry were taken during a call, as the table writes it. */
function taken(
  module: ModuleVersion,
  name: SeptFunction,
  prepare: (w: TdRig) => Partial<Operands>,
): string {
  const w = new TdRig({ module, finalize: false, params: { attributes: 1n } });
  w.addTables(0);
  w.must('TDH.MEM.PAGE.ADD', { ...w.mapping(1, 0), r8: w.address(w.pageOf(1)), r9: 0x1000_0000 });
  const operands = prepare(w);
  const tree = w.memory.word(TDR, TD.SEPT_LOCK);
  const { rcx = 0 } = operands;
  const gfn = Math.floor(rcx / 4096);
  const entry = w.memory.word(
    tableAt(w.tdx, TDR, gfn, rcx % 4096),
    w.tdx.geometry.index(gfn, rcx % 4096),
  );
  const seen: string[] = [];
  w.tdx.locks.listeners.push({
    taken: (cell, mode) => {
      if (cell === tree) seen.push(`tree ${mode === EXCLUSIVE ? 'X' : 'S'}`);
      if (cell === entry) seen.push('entry');
    },
    refused: () => {},
    released: () => {},
  });
  w.must(name, operands);
  return seen.length === 0 ? 'none' : seen.join(' + ');
}

describe.for(MODULE_VERSIONS.map((module, column) => [module, column] as const))(
  'module %s',
  ([module, column]) => {
    test.for(CALLS)('%s', ([name, prepare]) => {
      expect(taken(module, name, prepare)).toBe(EXPECTED[name][column]);
    });

    test('the table says what the functions do', () => {
      const named = SEPT_FUNCTIONS.map((name): [SeptFunction, string] => {
        const { tree, entryLock } = septLocking(module, name);
        const trees = tree === null ? [] : [tree === SHARED ? 'tree S' : 'tree X'];
        const parts = [...trees, ...(entryLock ? ['entry'] : [])];
        return [name, parts.length === 0 ? 'none' : parts.join(' + ')];
      });
      expect(Object.fromEntries(named)).toEqual(
        Object.fromEntries(SEPT_FUNCTIONS.map((name) => [name, EXPECTED[name][column]])),
      );
    });
  },
);
