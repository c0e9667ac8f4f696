/**
 * Runs of ordinary VMs, emitted as traces: judgeTrace reports for the trace what the monitors
 * report for the run, except for the rows of blind-spots.ts.
 */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { POLICIES, upstream7, type Policy } from '../../../impl/index.ts';
import { MUTANTS } from '../../../impl/mutants/index.ts';
import { ScenarioArbitrary } from '../../../properties/checker/scenarios/arbitrary.ts';
import { CORPUS } from '../../../properties/checker/scenarios/corpus.ts';
import type { Scenario } from '../../../properties/checker/scenarios/scenario.ts';
import { formatScenario, parseScenario } from '../../../properties/checker/scenarios/text.ts';
import { shapesOf } from '../../../properties/checker/shapes.ts';
import {
  BLIND_SPOTS,
  isIn,
  MAY_SHOW_LATER,
  SHOWN_EARLIER,
  SHOWN_LATER,
} from '../../../properties/traces/blind-spots.ts';
import { Emitter } from '../../../properties/traces/emit/emit.ts';
import { judgeTrace } from '../../../properties/traces/judge.ts';
import { TRACE_RULE_IDS } from '../../../properties/traces/rules/index.ts';
import { FAULTY } from '../../spec/kvm/faulty.ts';
import { FAULTY_VMS } from './faulty-vms.ts';

const module = '1.5';
const RUNS = 500;
const RUNS_OF_A_MUTANT = 30;
const SEED = 7;
/** Rules that the traces of a known bug break besides its own. */
const ALSO_BROKEN: Readonly<Record<string, readonly string[]>> = {
  // the worker still refers to the root when the MMU is gone
  'b-17': ['K35'],
  'b-32': ['K21'],
  'b-38': ['K39'],
};
/** Number of events by which a violation may precede the end of its run. */
const LAST_EVENTS = 3;
const MAX_STEPS = 5000;

const sample = (policy: Policy, numRuns: number): Scenario[] =>
  fc.sample(new ScenarioArbitrary(...shapesOf(policy).filter(({ vm }) => vm === 'vm')), {
    seed: SEED,
    numRuns,
  });

const rulesOf = (lines: readonly string[]): string[] =>
  judgeTrace(lines).violations.map(({ rule }) => rule);

const GOOD = POLICIES.filter(({ breaks, vms }) => breaks.length === 0 && vms.includes('vm'));

describe.each(GOOD.map((policy) => [policy.name, policy] as const))('%s', (_, policy) => {
  test('judgeTrace reports nothing for its traces, which exercise every rule', () => {
    const emitter = new Emitter({ policy, module, only: TRACE_RULE_IDS });
    const exercised = new Map<string, number>();
    for (const scenario of [...sample(policy, RUNS), ...CORPUS.filter(({ vm }) => vm === 'vm')]) {
      const { lines, violation } = emitter.emit(scenario);
      const { rules, unknown, unreadable, violations } = judgeTrace(lines);

      expect([violation, ...violations], formatScenario(scenario)).toEqual([null]);
      expect([unknown, unreadable]).toEqual([{}, 0]);
      for (const [id, { exercised: times }] of Object.entries(rules))
        exercised.set(id, (exercised.get(id) ?? 0) + times);
    }
    expect(TRACE_RULE_IDS.filter((id) => (exercised.get(id) ?? 0) === 0)).toEqual([]);
  });
});

const BUGS = MUTANTS.filter(({ base }) => base.vms.includes('vm'));

describe.each(BUGS.map(({ id, breaks, policy }) => ({ id, breaks, policy })))(
  '$id',
  ({ policy, breaks }) => {
    const watched = new Emitter({ policy, module, only: TRACE_RULE_IDS });
    const whole = new Emitter({ policy, module, rules: false, maxSteps: MAX_STEPS });
    // a zap by an unknown caller of the walk must count as an invalidation, so b-38 also breaks K39
    const known = new Set([...breaks, ...(ALSO_BROKEN[policy.name] ?? [])]);

    test('judgeTrace reports for its traces what the monitors report for its runs', () => {
      for (const scenario of [
        ...sample(policy, RUNS_OF_A_MUTANT),
        ...CORPUS.filter(({ vm }) => vm === 'vm'),
      ]) {
        const { lines, violation } = watched.emit(scenario);
        const { violations } = judgeTrace(lines);
        const [first] = violations;
        const text = `${formatScenario(scenario)}: ${violation?.rule} ${violation?.expected}`;

        if (first !== undefined) expect([violation?.rule, ...known], text).toContain(first.rule);
        // the others are faults of the machine: a run that never ends, a page used after its free
        if (violation === null || !TRACE_RULE_IDS.includes(violation.rule)) continue;
        if (isIn(SHOWN_LATER, violation))
          expect(rulesOf(whole.emit(scenario).lines), text).toContain(violation.rule);
        else if (first === undefined)
          expect(isIn([...BLIND_SPOTS, ...MAY_SHOW_LATER], violation), text).toBe(true);
        else if (first.rule === violation.rule && !isIn(SHOWN_EARLIER, violation)) {
          expect(lines.length - first.line, text).toBeLessThan(LAST_EVENTS);
        }
      }
    });
  },
);

const FAULTY_POLICIES: ReadonlyMap<string, Policy> = new Map([
  ...BUGS.map(({ policy }) => [policy.name, policy] as const),
  ...[...FAULTY, ...FAULTY_VMS].map(
    ([, fault, change]) =>
      [fault, { ...upstream7, name: fault, direct: { ...upstream7.direct, ...change } }] as const,
  ),
]);

/** A policy that breaks each rule, by its fault or as a known bug, and a short scenario for it. */
const EXAMPLES: readonly (readonly [rule: string, policy: string, scenario: string])[] = [
  ['K1', 'zaps leaves without mmu_lock', 'vm | v0: prefault 0 | h0: track 0'],
  [
    'K2',
    'stores entries with mmu_lock held for read',
    'vm | v0: read 2 | v1: touch 2 | @v0.0.36>1',
  ],
  ['K3', 'b-22', 'vm | v0: nested-touch 0 | h0: log 0; split-folio 0 | @h0.1.16>1'],
  ['K5', 'frees tables that entries point to', 'vm | v0: read 0'],
  ['K8', 'ignores kvm_unmap_gfn_range()', 'vm | v0: prefault 0; touch 0 | h0: unmap 0'],
  ['K9', 'b-21', 'vm | h0: read-only 0; log 0 | v0: prefault 0+2 | @h0.0.5>1'],
  ['K10', 'empties frozen entries before it frees their table', 'vm | v0: read 0'],
  [
    'K12',
    'maps a huge page from its second page on',
    'vm | v0: read 0 | h0: to-private 0; unmap 0; to-private 1',
  ],
  ['K13', 'b-26', 'vm | v0: read 0'],
  ['K13', 'fills the table of a split with its first page only', 'vm | v0: touch 0; exec 0'],
  ['K16', 'b-78', 'vm | v0: read 0'],
  ['K17', 'replaces a table by a new table', 'vm | v0: smm-exec 0 | h0: recover-nx 0'],
  [
    'K18',
    'zaps the neighbour of the table that it recovers',
    'vm | v0: exec 0 | v1: prefault 2 | h0: recover-nx 0',
  ],
  ['K19', 'makes pages writable that are not MMU-writable', 'vm | v0: touch 0 | h0: track 0'],
  ['K20', 'b-01', 'vm | v0: touch 3; nested-read 0 | h0: merge-folio 0 | @h0.0.0?2'],
  ['K20', 'b-03', 'vm | v0: smm-exec 0 | h0: recover-nx 0'],
  ['K20', 'b-04', 'vm | v0: touch 3; nested-read 0 | h0: merge-folio 0 | @h0.0.0?2'],
  ['K21', 'flushes one page, however many it zapped', 'vm | v0: smm-touch 0 | h0: zap-range 0'],
  ['K22', 'b-11', 'vm | v0: touch 0 | h0: delete-slot 0 | h1: unmap 0 | @h0.0.0?1'],
  ['K23', 'invalidates roots without a request to the vCPUs', 'vm | v0: touch 0 | h0: zap-all 0'],
  ['K24', 'b-09', 'vm | h0: log 0'],
  [
    'K25',
    'replaces a table by a huge page without a flush',
    'vm | v0: exec 0; idle 0; read 0 | v1: nested-touch 0; prefault 0 | h0: recover-nx 0 | ' +
      'h1: read-only 0 | @h0.0.9>1',
  ],
  ['K26', 'zaps the leaves of a root but not its tables', 'vm | v0: read 0'],
  ['K31', 'counts one reference for a new root', 'vm | v0: read 0'],
  ['K32', 'b-17', 'vm | v0: read 0'],
  [
    'K33',
    'does not check whether the root of a fault is obsolete',
    'vm | v0: prefault 0; prefault 0 | h0: zap-all 0; unmap 0; zap-all 0 | @v0.1.26>1 @h0.1.0>1',
  ],
  ['K34', 'b-11', 'vm | v0: touch 2 | h0: delete-slot 0 | h1: unmap 2 | @h0.0.0?1'],
  ['K34', 'lets vCPUs load invalid roots', 'vm | v0: idle 0; exec 0 | h0: read-only 0'],
  ['K35', 'zaps the leaves of a root but not its tables', 'vm | v0: read 0'],
  ['K37', 'b-77', 'vm | h0: punch 2 | v0: nested-read 0 | @h0.0.1>1'],
  ['K38', 'ends invalidations without mmu_lock', 'vm | h0: punch 0'],
  ['K39', 'b-33', 'vm | v0: read 0 | h0: zap-range 0'],
  ['K39', 'b-34', 'vm | v0: read 0 | h0: zap-range 0'],
];

test.each(EXAMPLES)('judgeTrace reports %s for the run of a policy: %s', (rule, name, text) => {
  const policy = FAULTY_POLICIES.get(name);
  if (policy === undefined) throw new Error(`no policy ${name}`);
  const scenario = parseScenario(text);
  const { lines, violation } = new Emitter({ policy, module, only: [rule] }).emit(scenario);

  expect(violation?.rule).toBe(rule);
  const isReported = rulesOf(lines).includes(rule);
  expect(
    isReported ||
      rulesOf(new Emitter({ policy, module, rules: false }).emit(scenario).lines).includes(rule),
  ).toBe(true);
});

test('every rule about any VM has an example', () => {
  expect([...new Set(EXAMPLES.map(([rule]) => rule))]).toEqual(TRACE_RULE_IDS);
});
