/** What the tables of versions say of functions is what a run of each function shows. */
import { describe, expect, test } from 'vitest';
import { TDR } from '../../../../properties/module/rig/layout.ts';
import {
  callsOf,
  CALLS,
  PreparedCall,
  type CallRow,
} from '../../../../properties/module/versions/calls.ts';
import { entryOutcomes } from '../../../../properties/module/versions/entry-states.ts';
import {
  acceptedVersions,
  interruptedOutcome,
} from '../../../../properties/module/versions/experiments.ts';
import { functionTexts } from '../../../../properties/module/versions/functions.ts';
import { observeLocks } from '../../../../properties/module/versions/locks.ts';
import type { Steps } from '../../../../spec/machine/step.ts';
import { HELD_EPOCH, HELD_TDR } from '../../../../spec/tdx/call.ts';
import { FUNCTIONS, memTrack } from '../../../../spec/tdx/functions/index.ts';
import { EXCLUSIVE } from '../../../../spec/tdx/locks.ts';
import type { InterfaceFunction } from '../../../../spec/tdx/module.ts';
import { SUCCESS, type Status } from '../../../../spec/tdx/status.ts';
import { TD } from '../../../../spec/tdx/td.ts';
import { exclusive } from '../../../../spec/tdx/version.ts';
import {
  MODULE_VERSIONS,
  versionData,
  type ModuleVersion,
} from '../../../../spec/tdx/versions/index.ts';

/** The row of a call. */
const rowOf = (title: string): CallRow => {
  const row = CALLS.find((one) => one.title === title);
  if (row === undefined) throw new Error(`no row ${title}`);
  return row;
};
const prepared = (module: ModuleVersion, title: string): PreparedCall =>
  new PreparedCall(module, rowOf(title));

/** The locks of a call, e.g. `tree X (OPERAND_BUSY|SEPT_TREE)`. */
const locksOf = (module: ModuleVersion, title: string): string[] =>
  observeLocks(prepared(module, title)).taken.map(
    ({ name, mode, busy }) => `${name} ${mode} (${busy})`,
  );

test('every interface function has a call that succeeds in each version that has it', () => {
  const named = new Set(CALLS.map(({ title }) => title.replace(/ \(.*/, '')));
  const functions = [...FUNCTIONS.keys()].filter((name) => !name.startsWith('HW.'));
  expect([...named].toSorted()).toEqual(functions.toSorted());
  for (const module of MODULE_VERSIONS)
    for (const row of callsOf(module))
      expect(
        () => observeLocks(new PreparedCall(module, row)),
        `${module} ${row.title}`,
      ).not.toThrow();
});

describe('the locks of a call', () => {
  test('PAGE.AUG locks the tree exclusively in 1.0, tree and entry in 1.5', () => {
    expect(locksOf('1.0.03', 'TDH.MEM.PAGE.AUG')).toEqual([
      'TDR S (OPERAND_BUSY|RDX)',
      'tree X (OPERAND_BUSY|SEPT_TREE)',
      'free page X (OPERAND_BUSY|R8)',
    ]);
    expect(locksOf('1.5.05', 'TDH.MEM.PAGE.AUG')).toEqual([
      'TDR S (OPERAND_BUSY|RDX)',
      'OP_STATE S (OPERAND_BUSY|OP_STATE)',
      'tree S (OPERAND_BUSY|SEPT_TREE)',
      'entry X (OPERAND_BUSY|RCX)',
      'free page X (OPERAND_BUSY|R8)',
    ]);
  });

  test('RANGE.BLOCK of 1.0 exchanges the entry, and is busy if it has changed', () => {
    expect(locksOf('1.0.03', 'TDH.MEM.RANGE.BLOCK').at(-1)).toBe(
      'entry by exchange (OPERAND_BUSY|RCX)',
    );
  });

  test('PROMOTE of 1.5 takes the locks of all children as one, and of the merged page', () => {
    expect(locksOf('1.5.05', 'TDH.MEM.PAGE.PROMOTE').slice(-3)).toEqual([
      'S-EPT page* X (OPERAND_BUSY|RCX)',
      'children X (OPERAND_BUSY|RCX)',
      'merged page* (2M) X (OPERAND_BUSY|RCX)',
    ]);
  });

  test('a vCPU in the guest keeps its TDVPR and its TDR locked', () => {
    const { released, kept } = observeLocks(prepared('1.5.05', 'TDH.VP.ENTER'));
    expect({ released, kept }).toEqual({
      released: ['epoch', 'OP_STATE'],
      kept: ['TDVPR', 'TDR*'],
    });
  });

  test('MEM.RD releases the TDR first in 1.5, as every function does in 1.0', () => {
    const orders = (['1.0.03', '1.5.05'] as const).map(
      (module) => observeLocks(prepared(module, 'TDH.MEM.RD')).released,
    );
    expect(orders).toEqual([
      ['TDR', 'tree'],
      ['TDR', 'entry', 'tree', 'OP_STATE'],
    ]);
  });

  test('another row in the lock table shows in the locks', () => {
    const base = versionData('1.5.05');
    const changed = { ...base, septLocks: { ...base.septLocks, 'TDH.MEM.PAGE.AUG': exclusive } };
    expect(locksOf(changed, 'TDH.MEM.PAGE.AUG')).toContain('tree X (OPERAND_BUSY|SEPT_TREE)');
  });

  test('another order of releases shows', () => {
    const base = versionData('1.5.05');
    const early: InterfaceFunction = { ...memTrack, release: [HELD_TDR, ...memTrack.release] };
    const changed = { ...base, functions: new Map([...base.functions, [early.name, early]]) };
    expect(observeLocks(prepared(changed, 'TDH.MEM.TRACK')).released).toEqual([
      'TDR',
      'epoch',
      'OP_STATE',
    ]);
  });

  test('a function that goes on although its lock is held is an error', () => {
    const base = versionData('1.5.05');
    const careless: InterfaceFunction = {
      ...memTrack,
      *run(tdx, call): Steps<Status> {
        const lock = tdx.memory.word(TDR, TD.EPOCH_LOCK);
        yield* tdx.acquire(call, HELD_EPOCH, lock, EXCLUSIVE);
        return SUCCESS;
      },
    };
    const changed = { ...base, functions: new Map([...base.functions, [memTrack.name, careless]]) };
    expect(() => observeLocks(prepared(changed, 'TDH.MEM.TRACK'))).toThrow(
      'TDH.MEM.TRACK succeeds although page 0 word 11 is held',
    );
  });
});

describe('the outcomes of a call', () => {
  test('a wrong state of an entry has a status of its own in 1.0, and one for all in 1.5', () => {
    const row = rowOf('TDH.MEM.RANGE.BLOCK');
    expect(entryOutcomes('1.0.03', row).get('EPT_ENTRY_FREE|RCX')).toEqual(['FREE@4K', 'FREE@2M']);
    expect(entryOutcomes('1.5.05', row).get('EPT_ENTRY_STATE_INCORRECT|RCX')).toEqual([
      'FREE@4K',
      'FREE@2M',
    ]);
  });

  test('a version without checks of its own shows the common status', () => {
    const changed = { ...versionData('1.0.03'), entryChecks: new Map() };
    const outcomes = entryOutcomes(changed, rowOf('TDH.MEM.RANGE.BLOCK'));
    expect(outcomes.has('EPT_ENTRY_FREE|RCX')).toBe(false);
    expect(outcomes.has('EPT_ENTRY_STATE_INCORRECT|RCX')).toBe(true);
  });

  test('an interrupt ends PAGE.DEMOTE in 1.5, not in 1.0 or in uninterruptible-demote', () => {
    const outcomes = (['1.5.05', '1.0.03', 'uninterruptible-demote'] as const).map((module) =>
      interruptedOutcome(prepared(module, 'TDH.MEM.PAGE.DEMOTE')),
    );
    expect(outcomes).toEqual(['INTERRUPTED_RESTARTABLE', null, null]);
  });

  test('VP.INIT has version 1 from 1.5.05 on', () => {
    const accepted = MODULE_VERSIONS.map((module) =>
      acceptedVersions(prepared(module, 'TDH.VP.INIT')),
    );
    expect(accepted).toEqual([[0, 1], [0], [0]]);
  });

  test('a call that a version has not got has no text', () => {
    const row = functionTexts(['1.5.01', '1.5.05']).find(({ title }) =>
      title.includes('(version 1)'),
    );
    expect(row?.texts.locks[0]).toBe(null);
    expect(row?.texts.locks[1]).toContain('TDR* X');
  });
});
