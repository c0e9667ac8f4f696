/** The modules that lock tables and entries instead of the tree (spec/tdx/versions/what-if/). */
import { describe, expect, test } from 'vitest';
import { parseScenario } from '../../../properties/checker/scenarios/text.ts';
import { kindOf, RELEASE } from '../../../spec/machine/step.ts';
import { HELD_PATHS, type Call, type Operands } from '../../../spec/tdx/call.ts';
import { EXCLUSIVE, SHARED } from '../../../spec/tdx/locks.ts';
import type { InterfaceFunction } from '../../../spec/tdx/module.ts';
import { tableAt } from '../../../spec/tdx/rules/tree.ts';
import { releasePath } from '../../../spec/tdx/sept.ts';
import { describeStatus } from '../../../spec/tdx/status.ts';
import { listGpa } from '../../../spec/tdx/stepping.ts';
import { TD } from '../../../spec/tdx/td.ts';
import { versionData, type ModuleVersion } from '../../../spec/tdx/versions/index.ts';
import { CallExplorer } from '../../support/call-explorer.ts';
import { TDR, TdRig } from '../../support/td-rig.ts';
import { onMachine, through } from './altered.ts';
import { onePreemption, runUntil } from './schedules.ts';

const FINE_GRAINED = ['fine-grained', 'fine-grained-visible', 'fine-grained-covering'] as const;

/** The function as the fine-grained modules have it. */
function own(name: string): InterfaceFunction {
  const found = versionData('fine-grained').functions.get(name);
  if (found === undefined) throw new Error(`module fine-grained has no ${name}`);
  return found;
}

/** A running TD of three levels: a table for GFN 0 to 1 and one for GFN 4 to 5, a page at 1. */
function running(module: ModuleVersion): TdRig {
  const rig = new TdRig({ module, rootLevel: 2 });
  for (const gfn of [0, 4]) rig.addTables(gfn);
  aug(rig, 1);
  return rig;
}

const withPage = (rig: TdRig, gfn: number): Partial<Operands> => ({
  ...rig.mapping(gfn, 0),
  r8: rig.address(rig.pageOf(gfn)),
});
const aug = (rig: TdRig, gfn: number): Call => rig.must('TDH.MEM.PAGE.AUG', withPage(rig, gfn));
const answer = (rig: TdRig, name: string, operands: Partial<Operands>): string =>
  describeStatus(rig.call(name, operands).status);

/** The locks of tables, entry and tree that a call takes, in order. */
function taken(rig: TdRig, name: string, operands: Partial<Operands>): string[] {
  const seen: string[] = [];
  const { rcx = 0 } = operands;
  const gfn = Math.floor(rcx / 4096);
  const names = new Map(
    [2, 1, 0].map((level) => [
      rig.tdx.pamt.lock(tableAt(rig.tdx, TDR, gfn, level), 0),
      `table ${level}`,
    ]),
  );
  const table = tableAt(rig.tdx, TDR, gfn, rcx % 4096);
  names.set(rig.memory.word(table, rig.tdx.geometry.index(gfn, rcx % 4096)), 'entry');
  names.set(rig.memory.word(TDR, TD.SEPT_LOCK), 'tree');
  rig.tdx.locks.listeners.push({
    taken: (cell, mode) => {
      const lock = names.get(cell);
      if (lock !== undefined) seen.push(`${lock} ${mode === EXCLUSIVE ? 'X' : 'S'}`);
    },
    refused: () => {},
    released: () => {},
  });
  rig.must(name, operands);
  return seen;
}

describe.each(FINE_GRAINED)('module %s', (module) => {
  test('AUG locks the tables on its way shared, and its entry', () => {
    const rig = running(module);
    expect(taken(rig, 'TDH.MEM.PAGE.AUG', withPage(rig, 0))).toEqual([
      'table 2 S',
      'table 1 S',
      'table 0 S',
      'entry X',
    ]);
  });

  test('BLOCK and UNBLOCK of a table lock it exclusively, and the way to it shared', () => {
    const rig = running(module);
    const locks = ['table 2 S', 'table 1 S', 'entry X', 'table 0 X'];
    expect(taken(rig, 'TDH.MEM.RANGE.BLOCK', rig.mapping(0, 1))).toEqual(locks);
    rig.must('TDH.MEM.TRACK', { rcx: rig.address(TDR) });
    expect(taken(rig, 'TDH.MEM.RANGE.UNBLOCK', rig.mapping(0, 1))).toEqual(locks);
  });

  test('a call keeps out only calls that pass through what it changes', () => {
    const rig = running(module);
    // BLOCK of the table of GFN 0 has its locks, and begins to release them
    runUntil(
      rig.invoke('TDH.MEM.RANGE.BLOCK', rig.mapping(0, 1)),
      (step) => kindOf(step) === RELEASE,
    );
    expect(answer(rig, 'TDH.MEM.PAGE.AUG', withPage(rig, 4))).toBe('TDX_SUCCESS');
    expect(answer(rig, 'TDH.MEM.RANGE.BLOCK', rig.mapping(4, 0))).toBe('TDX_SUCCESS');
    expect(answer(rig, 'TDH.MEM.RANGE.BLOCK', rig.mapping(4, 1))).toBe('TDX_SUCCESS');
    expect(answer(rig, 'TDH.MEM.RANGE.UNBLOCK', rig.mapping(0, 1))).toBe('TDX_OPERAND_BUSY|RCX');
  });

  test('a walk that meets a table under change is BUSY with the tree as its operand', () => {
    const rig = running(module);
    rig.tdx.locks.tryNow(rig.tdx.pamt.lock(tableAt(rig.tdx, TDR, 0, 0), 0), 'sharexHp', EXCLUSIVE);
    expect(answer(rig, 'TDH.MEM.PAGE.AUG', withPage(rig, 0))).toBe('TDX_OPERAND_BUSY|SEPT_TREE');
    expect(answer(rig, 'TDH.MEM.PAGE.AUG', withPage(rig, 4))).toBe('TDX_SUCCESS');
  });

  test('BLOCK of a table is BUSY while a call is in it', () => {
    const rig = running(module);
    rig.tdx.locks.tryNow(rig.tdx.pamt.lock(tableAt(rig.tdx, TDR, 0, 0), 0), 'sharexHp', SHARED);
    expect(answer(rig, 'TDH.MEM.RANGE.BLOCK', rig.mapping(0, 1))).toBe(
      'TDX_OPERAND_BUSY|SEPT_TREE',
    );
  });

  test('VP.ENTER under zero-step mitigation shares the tables, and is BUSY if it cannot', () => {
    const rig = running(module);
    listGpa(rig.tdx, rig.tdvpr(0), 4096);
    const enter = { rcx: rig.address(rig.tdvpr(0)) };
    const table = rig.tdx.pamt.lock(tableAt(rig.tdx, TDR, 0, 0), 0);
    rig.tdx.locks.tryNow(table, 'sharexHp', SHARED);
    expect(answer(rig, 'TDH.VP.ENTER', enter)).toBe('VMEXIT_EPT_VIOLATION');
    rig.tdx.locks.releaseNow(table, 'sharexHp', SHARED);
    rig.tdx.locks.tryNow(table, 'sharexHp', EXCLUSIVE);
    expect(answer(rig, 'TDH.VP.ENTER', enter)).toBe('TDX_OPERAND_BUSY|SEPT_TREE');
    expect(rig.isInside(0)).toBe(false);
  });

  const BELOW = {
    'fine-grained': ['TDX_EPT_WALK_FAILED|RCX', 'TDX_EPT_WALK_FAILED|RCX'],
    'fine-grained-visible': ['TDX_GPA_RANGE_NOT_BLOCKED|RCX', 'TDX_GPA_RANGE_NOT_BLOCKED|RCX'],
    'fine-grained-covering': ['TDX_TLB_TRACKING_NOT_DONE|RCX', 'TDX_SUCCESS'],
  } as const;
  test(`REMOVE below a blocked table returns ${BELOW[module].join(', tracked ')}`, () => {
    const rig = running(module);
    rig.must('TDH.VP.ENTER', { rcx: rig.address(rig.tdvpr(0)) });
    rig.must('TDH.MEM.RANGE.BLOCK', rig.mapping(0, 1));
    const remove = (): string => answer(rig, 'TDH.MEM.PAGE.REMOVE', rig.mapping(1, 0));
    const [blocked, tracked] = BELOW[module];
    expect(remove()).toBe(blocked);
    // a guest does not reach what is below
    expect(rig.call('HW.GUEST.ACCESS', { rcx: 4096, vcpu: rig.tdvpr(0) }).exitReason).toBe(48);
    rig.must('TDH.MEM.TRACK', { rcx: rig.address(TDR) });
    expect(remove()).toBe(tracked);
  });
});

/** The rules that a program breaks on a module with one preemption; F1 and F2 are of 1.5. */
function broken(
  module: ModuleVersion,
  text: string,
  functions: readonly InterfaceFunction[] = [],
): string[] {
  const explorer = new CallExplorer({ module, functions });
  const scenario = parseScenario(text);
  const rules = [scenario, ...onePreemption(scenario)].map((one) => explorer.run(one)?.rule);
  return [...new Set(rules.flatMap((rule) => rule ?? []))];
}

const withRow = (name: string, row: 'pathAndEntry' | 'entryOnly'): InterfaceFunction =>
  through(own(name), () => ({
    locking: () => ({
      tree: null,
      entryLock: true,
      ...(row === 'pathAndEntry' ? { path: true } : {}),
    }),
  }));

/** PAGE.AUG releases a table as soon as it has read the entry in it that leads on. */
const augLeavesTables = through(own('TDH.MEM.PAGE.AUG'), (tdx) => ({
  *acquire(call, role, cell, mode) {
    if (HELD_PATHS.includes(role)) yield* releasePath(tdx, call);
    return yield* tdx.acquire(call, role, cell, mode);
  },
}));

/** PAGE.REMOVE treats any blocked page as tracked: it reads a TD_EPOCH that is two too high. */
const removeSkipsTracking = onMachine(own('TDH.MEM.PAGE.REMOVE'), (m, tdx, call) => ({
  *read(cell) {
    const value = yield* m.read(cell);
    return cell === tdx.memory.word(call.tdr, TD.TD_EPOCH) ? value + 2 : value;
  },
}));

describe('rules about the locks of tables', () => {
  test('T10 is broken when BLOCK of a table does not lock the table, and only then', () => {
    const text = 'h0: block-huge 0';
    expect(broken('fine-grained', text)).toEqual([]);
    const changed = withRow('TDH.MEM.RANGE.BLOCK', 'pathAndEntry');
    expect(broken('fine-grained', text, [changed])).toEqual(['T10']);
  });

  test('T10 is broken when AUG does not lock the tables on its way, and only then', () => {
    expect(broken('fine-grained', 'h0: aug 0')).toEqual([]);
    const changed = withRow('TDH.MEM.PAGE.AUG', 'entryOnly');
    expect(broken('fine-grained', 'h0: aug 0', [changed])).toEqual(['T10']);
  });

  test('T10 is broken when AUG releases a table as soon as it is past it, and only then', () => {
    expect(broken('fine-grained', 'h0: aug 0', [augLeavesTables])).toEqual(['T10']);
  });

  test('T05 is broken when what a blocked table covers is not tracked, and only then', () => {
    const text = 'h0: aug 0; idle 0; block-huge 0; remove 0 | v0: accept 0; idle 0; idle 0';
    expect(broken('fine-grained-covering', text)).toEqual([]);
    expect(broken('fine-grained-covering', text, [removeSkipsTracking])).toContain('T05');
  });

  test('T01 is broken when a page is removed that the block above it does not cover', () => {
    const text = 'h0: aug 0; block-huge 0; track 0; remove 0';
    const changed = onMachine(own('TDH.MEM.PAGE.REMOVE'), (m, tdx, call) => ({
      peek: (cell) =>
        call.entryCell >= 0 && cell === tdx.memory.word(call.tdr, TD.OP_STATE) ? 1 : m.peek(cell),
    }));
    expect(broken('fine-grained-covering', text)).toEqual([]);
    expect(broken('fine-grained-visible', text, [changed])).toContain('T01');
  });
});
