/** Modules that do not exist: what each changes, and the T rules under random calls. */
import { describe, expect, test } from 'vitest';
import { parseScenario } from '../../../properties/checker/scenarios/text.ts';
import type { Call, Operands } from '../../../spec/tdx/call.ts';
import { NL_MAPPED, stateName, stateOf } from '../../../spec/tdx/entry.ts';
import { tableAt } from '../../../spec/tdx/rules/tree.ts';
import { describeStatus } from '../../../spec/tdx/status.ts';
import {
  MODULE_NAMES,
  MODULE_VERSIONS,
  NEWEST_VERSIONS,
  versionData,
  WHAT_IF_VERSIONS,
  type ModuleVersion,
} from '../../../spec/tdx/versions/index.ts';
import { CallExplorer } from '../../support/call-explorer.ts';
import { TDR, TdRig } from '../../support/td-rig.ts';
import * as faulty from './faulty.ts';
import { randomCalls } from './random-calls.ts';

test('a hypothetical module has a name of its own, and no run of every version runs it', () => {
  for (const name of WHAT_IF_VERSIONS) {
    expect(versionData(name).name).toBe(name);
    expect(MODULE_NAMES).toContain(name);
    expect([...MODULE_VERSIONS, ...NEWEST_VERSIONS]).not.toContain(name);
  }
  expect(WHAT_IF_VERSIONS.length).toBeGreaterThan(2);
});

/** Findings F2 and F1, which the functions of 1.5.05 bring along (races.test.ts). */
const INHERITED = ['T07', 'T15'];

test.each(WHAT_IF_VERSIONS)(
  'random calls break only the findings of 1.5.05 in module %s',
  (name) => {
    expect(randomCalls(name, true)).toEqual({ broken: INHERITED, idle: [] });
  },
);

/** A running TD with a pending 2M page at GFN 0. */
function running(module: ModuleVersion): TdRig {
  const rig = new TdRig({ module });
  rig.addTables(0, 2);
  rig.must('TDH.MEM.PAGE.AUG', { ...rig.mapping(0, 1), r8: rig.address(rig.pageOf(0)) });
  return rig;
}

const demote = (rig: TdRig, more: Partial<Operands> = {}): Call =>
  rig.call('TDH.MEM.PAGE.DEMOTE', {
    ...rig.mapping(0, 1),
    r8: rig.address(rig.tablePage(0, 1)),
    interruptAfter: -1,
    ...more,
  });

const answer = (call: Call): string => describeStatus(call.status);

const stateAt = (rig: TdRig, gfn: number, level: number): string => {
  const table = tableAt(rig.tdx, TDR, gfn, level);
  return stateName(stateOf(rig.m.peek(rig.memory.word(table, rig.tdx.geometry.index(gfn, level)))));
};

describe.each(['demote-without-block', 'one-call-split'] as const)('module %s', (module) => {
  test('DEMOTE splits a pending and an accepted page of a running TD without BLOCK', () => {
    for (const accepted of [false, true]) {
      const rig = running(module);
      rig.must('TDH.VP.ENTER', { rcx: rig.address(rig.tdvpr(0)) });
      if (accepted) rig.must('TDG.MEM.PAGE.ACCEPT', { ...rig.mapping(0, 1), vcpu: rig.tdvpr(0) });
      expect(answer(demote(rig))).toBe('TDX_SUCCESS');
      const children = accepted ? 'MAPPED' : 'PENDING';
      expect([stateAt(rig, 0, 1), stateAt(rig, 0, 0), stateAt(rig, 1, 0)]).toEqual([
        stateName(NL_MAPPED),
        children,
        children,
      ]);
    }
  });

  test('DEMOTE of a blocked page still requires TRACK', () => {
    const rig = running(module);
    rig.must('TDH.MEM.RANGE.BLOCK', rig.mapping(0, 1));
    expect(answer(demote(rig))).toBe('TDX_TLB_TRACKING_NOT_DONE|RCX');
    rig.must('TDH.MEM.TRACK', { rcx: rig.address(TDR) });
    expect(answer(demote(rig))).toBe('TDX_SUCCESS');
  });

  /** A large page is split while a vCPU that has accepted it is in the guest. */
  const split = (host: string, vcpu: string): string =>
    `h0: block-huge 0; track 0; sept-remove 0; aug-huge 0; idle 0; demote 0; ${host} | ` +
    `v0: accept-huge 0; idle 0; ${vcpu}`;

  test('a small page can be removed after BLOCK and TRACK, and the vCPU then flushes', () => {
    const text = split('block 0; track 0; idle 0; remove 0', 'leave 0; idle 0; idle 0');
    const correct = new CallExplorer({ module });
    expect(correct.run(parseScenario(text))).toBeNull();
    expect(correct.book.timesExercised('T05')).toBeGreaterThan(0);
  });

  test('T05 is broken when a small page is removed while a vCPU may use the large one', () => {
    const text = parseScenario(split('block 0; remove 0', 'idle 0'));
    const changed = new CallExplorer({ module, functions: [faulty.removeSkipsTracking] });
    expect(changed.run(text)?.rule).toBe('T05');
    expect(new CallExplorer({ module }).run(text)).toBeNull();
  });

  test('T05 is broken when a split leaves out a part of the page', () => {
    const text = parseScenario(split('idle 0', 'idle 0'));
    const changed = new CallExplorer({ module, functions: [faulty.demoteLosesPart] });
    expect(changed.run(text)?.rule).toBe('T05');
  });
});

describe.each([
  ['demote-without-block', 'TDX_INTERRUPTED_RESTARTABLE'],
  ['uninterruptible-demote', 'TDX_SUCCESS'],
  ['one-call-split', 'TDX_SUCCESS'],
] as const)('module %s', (module, expected) => {
  test(`DEMOTE with an interrupt pending returns ${expected}`, () => {
    const rig = running(module);
    rig.must('TDH.MEM.RANGE.BLOCK', rig.mapping(0, 1));
    rig.must('TDH.MEM.TRACK', { rcx: rig.address(TDR) });
    expect(answer(demote(rig, { interruptAfter: 1 }))).toBe(expected);
  });
});

test('DEMOTE of module uninterruptible-demote requires BLOCK, as 1.5.05 does', () => {
  expect(answer(demote(running('uninterruptible-demote')))).toBe('TDX_GPA_RANGE_NOT_BLOCKED|RCX');
});
