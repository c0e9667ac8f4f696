/**
 * Every T rule is broken by a module with one thing changed. The correct module exercises the rule
 * and keeps it.
 */
import { describe, expect, test } from 'vitest';
import { parseScenario } from '../../../properties/checker/scenarios/text.ts';
import { RuleBook } from '../../../spec/machine/monitor.ts';
import type { Violation } from '../../../spec/machine/rule.ts';
import { TDX_RULES } from '../../../spec/tdx/rules/index.ts';
import {
  NEWEST_VERSIONS,
  versionData,
  type ModuleVersion,
} from '../../../spec/tdx/versions/index.ts';
import { CallExplorer } from '../../support/call-explorer.ts';
import { TDR, TdRig } from '../../support/td-rig.ts';
import { Seeded } from '../machine/support.ts';
import { CONCURRENT, SEQUENTIAL, type Change } from './breakages.ts';
import * as faulty from './faulty.ts';
import { randomCalls } from './random-calls.ts';
import { onePreemption } from './schedules.ts';
import { HKID, hpa, Testbed, TD_PARAMS } from './testbed.ts';

describe('one call after the other', () => {
  for (const [rule, fault, change, setting, text] of SEQUENTIAL) {
    test(`${rule} is broken when ${fault}, and only then`, () => {
      expect(new CallExplorer({ ...setting, ...change }).run(parseScenario(text))?.rule).toBe(rule);
      const correct = new CallExplorer(setting);
      expect(correct.run(parseScenario(text))).toBeNull();
      expect(correct.book.timesExercised(rule)).toBeGreaterThan(0);
    });
  }
});

/** Rules that a module breaks by itself: findings F2 and F1 of 1.5 (races.test.ts). */
const known = (module: ModuleVersion): readonly string[] =>
  versionData(module).family === '1.5' ? ['T07', 'T15'] : [];

/** The rules that a program breaks with one preemption, and under random schedules. */
function broken(explorer: CallExplorer, text: string): string[] {
  const scenario = parseScenario(text);
  const violations = [...onePreemption(scenario)].map((preempted) => explorer.run(preempted));
  for (let seed = 0; seed < SEEDS; seed++)
    violations.push(explorer.run(scenario, new Seeded(seed)));
  return [...new Set(violations.flatMap((violation) => violation?.rule ?? []))];
}

const SEEDS = 300;

describe('calls at the same time', () => {
  for (const [rule, fault, change, setting, text] of CONCURRENT) {
    test(`${rule} is broken when ${fault}, and only then`, () => {
      const correct = new CallExplorer(setting);
      const always = broken(correct, text);
      expect(known(setting.module)).toEqual(expect.arrayContaining(always));
      const changed = broken(new CallExplorer({ ...setting, ...change }), text);
      expect(changed.filter((id) => !always.includes(id))).toEqual([rule]);
      expect(correct.book.timesExercised(rule)).toBeGreaterThan(0);
    });
  }

  test('every rule has a module that breaks it', () => {
    const rules = new Set([...SEQUENTIAL, ...CONCURRENT].map(([rule]) => rule));
    expect([...rules].toSorted()).toEqual(TDX_RULES.map(({ id }) => id));
  });
});

describe('what the explored platform lacks', () => {
  /** Tears the TD down with T08 watching; returns the violation. */
  function tearDown(change: Change): Violation | null {
    const w = new TdRig({ module: '1.5', ...change });
    const book = new RuleBook(
      w.m,
      w.tdx,
      TDX_RULES.filter(({ id }) => id === 'T08'),
    );
    for (const lp of [0, 1]) w.must('TDH.VP.FLUSH', { rcx: w.address(w.tdvpr(lp)), lp });
    w.must('TDH.MNG.VPFLUSHDONE', { rcx: w.address(TDR) });
    w.must('TDH.PHYMEM.CACHE.WB');
    w.must('TDH.MNG.KEY.FREEID', { rcx: w.address(TDR) });
    for (let page = w.tdvpr(0); page < w.tdvpr(1); page++)
      w.must('TDH.PHYMEM.PAGE.RECLAIM', { rcx: w.address(page) });
    expect(book.timesExercised('T08')).toBeGreaterThan(0);
    return w.m.violation;
  }
  test('T08 is broken when RECLAIM does not decrement CHLDCNT, and only then', () => {
    expect(tearDown({})).toBeNull();
    expect(tearDown({ functions: [faulty.reclaimDoesNotCount] })?.rule).toBe('T08');
  });

  test('T05 concerns vCPUs of the same TD: another TD that is being built may lose pages', () => {
    const bed = new Testbed();
    bed.build();
    const book = new RuleBook(bed.tdx.m, bed.tdx, TDX_RULES);
    bed.enter(0);
    const [other, firstTable, page] = [28, 40, 44];
    bed.create(other, HKID + 1);
    bed.ok('TDH.MNG.INIT', { rcx: hpa(other), rdx: 0, tdParams: TD_PARAMS });
    for (const level of [3, 2, 1]) {
      bed.ok('TDH.MEM.SEPT.ADD', { rcx: level, rdx: hpa(other), r8: hpa(firstTable + level) });
    }
    bed.ok('TDH.MEM.PAGE.ADD', { rcx: 0, rdx: hpa(other), r8: hpa(page), r9: 0 });
    bed.ok('TDH.MEM.PAGE.REMOVE', { rcx: 0, rdx: hpa(other) });
    book.atRest();
    expect(bed.tdx.m.violation).toBeNull();
    expect(book.timesExercised('T05')).toBe(0);
  });
});

describe('the specified module under random calls of three or four actors', () => {
  for (const module of NEWEST_VERSIONS) {
    for (const finalize of [true, false]) {
      const opState = finalize ? 'RUNNABLE' : 'INITIALIZED';
      test(`random calls break only the known findings in module ${module}, ${opState}`, () => {
        const { broken: found, idle } = randomCalls(module, finalize);
        const findings = known(module).filter((rule) => finalize || rule !== 'T15');
        expect(found).toEqual(findings);
        expect(idle).toEqual(finalize ? [] : ['T05', 'T14', 'T15']);
      });
    }
  }
});
