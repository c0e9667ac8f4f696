/**
 * Policy dynamic-pamt on a module with the feature: it adds and removes PAMT pages by calls. What
 * the module answers where a policy counts wrongly, or without the lock (docs/what-if.md).
 */
import { describe, expect, test } from 'vitest';
import { addressesOf } from '../../../impl/blocks/pamt.ts';
import {
  COVERED_MERGE,
  COVERED_SPLIT,
  defineModule,
  dynamicPamt,
  hugePagesV3,
  pamtEntryPoints,
  promoteUnder,
  type GetPamt,
  type Policy,
} from '../../../impl/index.ts';
import checkedEarly from '../../../impl/mutants/b-67-pamt-checked-early.ts';
import uncounted from '../../../impl/mutants/b-88-covered-uncounted.ts';
import type { Vm } from '../../../impl/vm/vm.ts';
import { check } from '../../../properties/checker/check.ts';
import { Engine, rulesFor } from '../../../properties/checker/engine.ts';
import { CORPUS } from '../../../properties/checker/scenarios/corpus.ts';
import { parseScenario } from '../../../properties/checker/scenarios/text.ts';
import type { PamtCalls } from '../../../spec/kvm/dynamic-pamt.ts';
import { VM_CACHE } from '../../../spec/kvm/pamt-caches.ts';
import type { Steps } from '../../../spec/machine/step.ts';
import { phymemPamtAdd } from '../../../spec/tdx/functions/phymem-pamt-add.ts';
import { HPA_RANGE_NOT_FREE, SUCCESS } from '../../../spec/tdx/status.ts';
import { versionData } from '../../../spec/tdx/versions/index.ts';
import { augDoesNotCount } from '../../spec/tdx/faulty-pamt.ts';

const MODULE = 'dynamic-pamt';
const ADD = 'TDH.PHYMEM.PAMT.ADD';
const REMOVE = 'TDH.PHYMEM.PAMT.REMOVE';

/** The answers of a policy's run, by function, and the rule that the run breaks. */
function run(policy: Policy, text: string, module = MODULE): readonly [string[], string | null] {
  const engine = new Engine({ policy, module: versionData(module as typeof MODULE) });
  const succeeded: string[] = [];
  engine.vm.tdx.listeners.push({
    ended: ({ name }, status) => {
      if (status === SUCCESS) succeeded.push(name);
    },
  });
  return [succeeded, engine.run(parseScenario(text))?.rule ?? null];
}

/** The calls of a module with the feature. */
function callsOf({ pamt: { calls } }: Vm): PamtCalls {
  if (calls === null) throw new Error('the module has no PAMT calls');
  return calls;
}

/** What is seen, in the runs of a program with one preemption of an actor, where they break S01. */
function answersOf(policy: Policy, program: string, actor: string): string[] {
  const engine = new Engine({ policy, module: MODULE, only: ['S01'] });
  const seen = Array.from({ length: 180 }, (_, step) =>
    engine.run(parseScenario(`${program} | @${actor}.0.${step}>1`)),
  );
  return [...new Set(seen.flatMap((violation) => violation?.seen ?? []))].toSorted();
}

describe('a TD on a module with the feature', () => {
  test('dynamic-pamt passes, and its PAMT pages come and go', () => {
    const verdict = check({
      policy: dynamicPamt,
      module: MODULE,
      seed: 1,
      runs: 800,
      corpus: CORPUS,
    });

    expect(verdict.verdict).toBe('passes');
    for (const rule of ['T17', 'K68']) expect(verdict.exercised[rule], rule).toBeGreaterThan(0);
  });

  test('the first page of a range adds the pair, and the last one removes it', () => {
    const [succeeded, rule] = run(dynamicPamt, 'v0: accept 0; accept 1 | h0: unmap 0; unmap 1');
    const count = (name: string): number => succeeded.filter((one) => one === name).length;

    expect(rule).toBeNull();
    expect(count('TDH.MEM.PAGE.AUG')).toBe(2);
    expect(count(ADD)).toBeGreaterThan(0);
    expect(count(REMOVE), 'pairs that the build added are removed, too').toBeGreaterThan(
      count(ADD),
    );
  });

  test('DEMOTE passes the pair of the range that it splits', () => {
    const [succeeded, rule] = run(dynamicPamt, 'v0: read 0; accept 0 | h0: demote 0');

    expect(rule).toBeNull();
    expect(succeeded).toContain('TDH.MEM.PAGE.DEMOTE');
  });

  test.each([MODULE, '1.5.05'])(
    'a merge returns the pair and the page of the table (%s)',
    (module) => {
      const merging: Policy = {
        ...dynamicPamt,
        name: 'merging',
        never: [],
        *promote(vm, gfn) {
          yield* promoteUnder(vm, gfn, COVERED_MERGE);
        },
      };
      const [succeeded, rule] = run(
        merging,
        'v0: read 0; touch 1 | h0: demote 0; promote 0',
        module,
      );

      expect(rule).toBeNull();
      expect(succeeded).toContain('TDH.MEM.PAGE.PROMOTE');
    },
  );

  test('K68 catches B-67 and B-88 on it as well', () => {
    for (const { policy } of [checkedEarly, uncounted]) {
      const options = {
        module: MODULE,
        seed: 1,
        runs: 10_000,
        only: ['K68'],
        stopAfter: 1,
      } as const;
      const { counterexamples } = check({ ...options, policy });
      expect(
        counterexamples.map(({ violation }) => violation.rule),
        policy.name,
      ).toEqual(['K68']);
    }
  });

  test('K68 catches a pair that stays when the last page of its range has left', () => {
    const leaking: Policy = {
      ...dynamicPamt,
      *demote(vm, gfn) {
        const page = vm.guestMemory.pageOf(gfn);
        yield* vm.pamt.getControl(page);
        yield* vm.pamt.uncount(page);
      },
    };
    const engine = new Engine({ policy: leaking, module: MODULE, only: ['K68'] });
    const violation = engine.run(parseScenario('h0: demote 2'));

    expect([violation?.rule, violation?.seen]).toEqual(['K68', 'it has some']);
  });

  test('PAMT.REMOVE is refused where a page was not counted', () => {
    const engine = new Engine({ policy: uncounted.policy, module: MODULE });
    const violation = engine.run(parseScenario('v0: accept 1; accept-huge 0'));

    expect(violation?.rule).toBe('S01');
    expect(violation?.seen).toMatch(/^TDX_PAMT_PAGE_NOT_EMPTY/);
  });
});

describe('counts without pamt_lock', () => {
  /** Two faults on pages of one range, of which the first one is preempted. */
  const FAULTS = 'v0: accept 0 | v1: accept 1';
  const withGet = (get: GetPamt): Policy => ({
    ...dynamicPamt,
    ...pamtEntryPoints(COVERED_SPLIT, get),
  });

  test('a range that is counted before PAMT.ADD is taken for covered by another fault', () => {
    const countedFirst = withGet(function* (vm, page, cache) {
      if (yield* vm.pamt.countUnlessFirst(page)) return true;
      const pair = yield* vm.pamt.takePair(cache);
      yield* vm.pamt.count(page);
      return pair !== null && (yield* callsOf(vm).add(page, pair));
    });

    expect(answersOf(countedFirst, FAULTS, 'v0')).toEqual([
      'TDX_HPA_RANGE_NOT_FREE|RCX',
      'TDX_MISSING_PAMT_PAGE_PAIR|R8',
    ]);
  });

  test('two PAMT.ADD of one range meet, if no lock keeps them apart', () => {
    const unlocked = withGet(function* (vm, page, cache) {
      if (yield* vm.pamt.countUnlessFirst(page)) return true;
      const pair = yield* vm.pamt.takePair(cache);
      const isAdded = pair !== null && (yield* callsOf(vm).add(page, pair));
      if (isAdded) yield* vm.pamt.count(page);
      return isAdded;
    });

    expect(answersOf(unlocked, FAULTS, 'v0')).toEqual([
      'TDX_HPA_RANGE_NOT_FREE|RCX',
      'TDX_OPERAND_BUSY|RCX',
    ]);
  });

  test('the lock keeps them apart', () => {
    expect(answersOf(dynamicPamt, FAULTS, 'v0')).toEqual([]);
  });
});

describe('a count that becomes 0 before the lock is taken, as in versions 3 to 5', () => {
  /** A free page of the guest's memory. */
  const PAGE_OF_GFN = 2;
  const twice = (
    get: (vm: Vm, page: number) => Steps<unknown>,
    put: (vm: Vm, page: number) => Steps<void>,
  ): Policy => ({
    ...dynamicPamt,
    *demote(vm) {
      const page = vm.guestMemory.pageOf(PAGE_OF_GFN);
      yield* vm.pamt.topUp(VM_CACHE);
      yield* vm.pamt.lock.lock();
      yield* get(vm, page);
      yield* vm.pamt.lock.unlock();
      yield* put(vm, page);
    },
  });
  const PROGRAM = 'h0: demote 0 | h1: demote 0';

  /** PAMT.ADD that takes a pair that is there for its own. */
  function* getOverRemove(vm: Vm, page: number): Steps<void> {
    const { pamt } = vm;
    if (yield* pamt.countUnlessFirst(page)) return;
    const pair = yield* pamt.takePair(VM_CACHE);
    if (pair === null) return;
    yield* pamt.addLock.lock();
    const [rdx, r8] = addressesOf(vm, pair);
    const rcx = vm.address(vm.tdx.geometry.align(page, 1)) + 1;
    const call = yield* vm.seamcall(phymemPamtAdd, { rcx, rdx, r8 }, [HPA_RANGE_NOT_FREE]);
    yield* pamt.count(page);
    yield* pamt.addLock.unlock();
    if (call.status !== SUCCESS) yield* pamt.freePair(pair);
  }

  function* putOutsideLock(vm: Vm, page: number): Steps<void> {
    const { pamt } = vm;
    if ((yield* pamt.uncount(page)) > 0) return;
    yield* pamt.addLock.lock();
    const pair = (yield* pamt.isUsed(page)) ? null : yield* callsOf(vm).remove(page);
    yield* pamt.addLock.unlock();
    if (pair !== null) yield* pamt.freePair(pair);
  }

  test('two puts both see 0, and the second PAMT.REMOVE finds no pair', () => {
    const answers = answersOf(twice(getOverRemove, putOutsideLock), PROGRAM, 'h0');
    expect(answers).toEqual(['TDX_NO_PAMT_PAGE_PAIR|RCX']);
  });

  test('a put that takes the lock with its decrement excludes that', () => {
    const policy = twice(
      (vm, page) => vm.pamt.get(page, VM_CACHE),
      (vm, page) => vm.pamt.put(page),
    );
    expect(answersOf(policy, PROGRAM, 'h0')).toEqual([]);
  });
});

describe('T17 goes by the feature', () => {
  const ids = (module: Parameters<typeof rulesFor>[0]): string[] =>
    rulesFor(module, 'td').map(({ id }) => id);

  test('T17 judges every module with the feature, whatever its name', () => {
    const mine = defineModule(MODULE, { name: 'mine', functions: augDoesNotCount });
    const off = { ...versionData(MODULE), dynamicPamt: false };

    expect(
      [ids(MODULE), ids(mine), ids(off), ids('1.5')].map((one) => one.includes('T17')),
    ).toEqual([true, true, false, false]);
    const { counterexamples } = check({
      policy: dynamicPamt,
      module: mine,
      seed: 1,
      runs: 100,
      only: ['T17'],
    });
    expect(counterexamples.map(({ violation }) => violation.rule)).toEqual(['T17']);
  });

  test('T17 does not apply to a policy that leaves the feature off', () => {
    const verdict = check({
      policy: hugePagesV3,
      module: MODULE,
      seed: 1,
      runs: 600,
      corpus: CORPUS,
    });

    expect(verdict.exercised).not.toHaveProperty('T17');
    expect([verdict.verdict, verdict.unexercised]).toEqual(['passes', []]);
  });
});
