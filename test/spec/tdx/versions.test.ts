/** The lock table of each module version, and whether the functions follow it. */
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
} from '../../../spec/tdx/versions/index.ts';
import { TDR, TdRig } from '../../support/td-rig.ts';

type Locks = 'none' | 'tree X' | 'tree S' | 'tree X + entry' | 'tree S + entry' | 'entry';

/** Locks of 1.5 and of 1.0, measured (docs/module-notes.md#lock-table). */
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
  'TDG.MEM.PAGE.ACCEPT': ['entry', 'entry'],
  'TDH.VP.ENTER': ['tree X', 'tree X'],
};

/** Blocks and tracks an entry of a TD that is being built, if its module wants that. */
function end(rig: TdRig, gfn: number, level: number): { rcx: number; rdx: number } {
  const mapping = rig.mapping(gfn, level);
  if (rig.tdx.version.tracksWhileBuilding) {
    rig.must('TDH.MEM.RANGE.BLOCK', mapping);
    rig.must('TDH.MEM.TRACK', { rcx: mapping.rdx });
  }
  return mapping;
}

/** Operands with which each function succeeds, after tables for GFN 0 and a page at GFN 1. */
const page = (rig: TdRig): Partial<Operands> => ({
  r8: rig.address(rig.sparePage(0)),
  r9: 0x1000_0000,
});
const CALLS: readonly (readonly [SeptFunction, (rig: TdRig) => Partial<Operands>])[] = [
  ['TDH.MEM.SEPT.ADD', (rig) => ({ ...rig.mapping(2, 1), ...page(rig) })],
  [
    'TDH.MEM.SEPT.REMOVE',
    (rig) => {
      rig.must('TDH.MEM.PAGE.REMOVE', end(rig, 1, 0));
      return end(rig, 0, 1);
    },
  ],
  ['TDH.MEM.SEPT.RD', (rig) => rig.mapping(0, 0)],
  ['TDH.MEM.PAGE.ADD', (rig) => ({ ...rig.mapping(0, 0), ...page(rig) })],
  ['TDH.MEM.PAGE.AUG', (rig) => ({ ...rig.mapping(0, 0), ...page(rig) })],
  ['TDH.MEM.PAGE.REMOVE', (rig) => end(rig, 1, 0)],
  [
    'TDH.MEM.PAGE.PROMOTE',
    (rig) => {
      rig.must('TDH.MEM.PAGE.ADD', {
        ...rig.mapping(0, 0),
        r8: rig.address(rig.pageOf(0)),
        r9: 0x1000_0000,
      });
      return end(rig, 0, 1);
    },
  ],
  [
    'TDH.MEM.PAGE.DEMOTE',
    (rig) => {
      rig.must('TDH.MEM.PAGE.AUG', { ...rig.mapping(2, 1), r8: rig.address(rig.pageOf(2)) });
      return { ...end(rig, 2, 1), ...page(rig) };
    },
  ],
  ['TDH.MEM.PAGE.RELOCATE', (rig) => ({ ...end(rig, 1, 0), ...page(rig) })],
  ['TDH.MEM.RANGE.BLOCK', (rig) => rig.mapping(1, 0)],
  [
    'TDH.MEM.RANGE.UNBLOCK',
    (rig) => {
      rig.must('TDH.MEM.RANGE.BLOCK', rig.mapping(1, 0));
      rig.must('TDH.MEM.TRACK', { rcx: rig.address(TDR) });
      return rig.mapping(1, 0);
    },
  ],
  ['TDH.MEM.RD', (rig) => rig.mapping(1, 0)],
  ['TDH.MEM.WR', (rig) => rig.mapping(1, 0)],
  ['TDH.MR.EXTEND', (rig) => rig.mapping(1, 0)],
  [
    'TDG.MEM.PAGE.ACCEPT',
    (rig) => {
      rig.must('TDH.MEM.PAGE.AUG', { ...rig.mapping(0, 0), ...page(rig) });
      return { ...rig.mapping(0, 0), vcpu: rig.tdvpr(0) };
    },
  ],
];

/** The locks of tree and entry that a call took, as the table writes them. */
function taken(
  module: ModuleVersion,
  name: SeptFunction,
  prepare: (rig: TdRig) => Partial<Operands>,
): string {
  const rig = new TdRig({ module, finalize: false, params: { attributes: 1n } });
  rig.addTables(0);
  rig.must('TDH.MEM.PAGE.ADD', {
    ...rig.mapping(1, 0),
    r8: rig.address(rig.pageOf(1)),
    r9: 0x1000_0000,
  });
  const operands = prepare(rig);
  const tree = rig.memory.word(TDR, TD.SEPT_LOCK);
  const { rcx = 0 } = operands;
  const gfn = Math.floor(rcx / 4096);
  const entry = rig.memory.word(
    tableAt(rig.tdx, TDR, gfn, rcx % 4096),
    rig.tdx.geometry.index(gfn, rcx % 4096),
  );
  const seen: string[] = [];
  rig.tdx.locks.listeners.push({
    taken: (cell, mode) => {
      if (cell === tree) seen.push(`tree ${mode === EXCLUSIVE ? 'X' : 'S'}`);
      if (cell === entry) seen.push('entry');
    },
    refused: () => {},
    released: () => {},
  });
  rig.must(name, operands);
  return seen.length === 0 ? 'none' : seen.join(' + ');
}

describe.for(MODULE_VERSIONS.map((module) => [module, module === '1.0.03' ? 1 : 0] as const))(
  'module %s',
  ([module, column]) => {
    test.for(CALLS)(`%s of module ${module} takes the locks of the table`, ([name, prepare]) => {
      expect(taken(module, name, prepare)).toBe(EXPECTED[name][column]);
    });

    test(`septLocking() of module ${module} is the expected table`, () => {
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
