/** README, "What differs between the modules": each claim, in every measured version. */
import { describe, expect, test } from 'vitest';
import { upstream619 } from '../../impl/index.ts';
import { Engine } from '../../properties/checker/engine.ts';
import { parseScenario } from '../../properties/checker/scenarios/text.ts';
import { callsOf, PreparedCall, type CallRow } from '../../properties/module/versions/calls.ts';
import { interruptedOutcome } from '../../properties/module/versions/experiments.ts';
import { observeLocks } from '../../properties/module/versions/locks.ts';
import { atomically, cellOf, kindOf, RMW, WRITE } from '../../spec/machine/step.ts';
import type { Call } from '../../spec/tdx/call.ts';
import { ENTRY_LOCK } from '../../spec/tdx/entry.ts';
import { tableAt } from '../../spec/tdx/rules/tree.ts';
import { describeStatus } from '../../spec/tdx/status.ts';
import { MODULE_VERSIONS, type ModuleName } from '../../spec/tdx/versions/index.ts';
import { runUntil } from '../spec/tdx/schedules.ts';
import { textOf } from '../support/repository.ts';
import { TDR, TdRig } from '../support/td-rig.ts';

const README = textOf('README.md');

/** The functions that change the Secure EPT, RANGE.BLOCK to PAGE.ADD. */
const CHANGING = [
  'PAGE.ADD',
  'PAGE.AUG',
  'PAGE.DEMOTE',
  'PAGE.PROMOTE',
  'PAGE.RELOCATE',
  'PAGE.REMOVE',
  'RANGE.BLOCK',
  'RANGE.UNBLOCK',
  'SEPT.ADD',
  'SEPT.REMOVE',
].map((name) => `TDH.MEM.${name}`);
const ARMED = 'TDH.VP.ENTER (zero-step mitigation armed)';

const isOld = (module: ModuleName): boolean => module === '1.0.03';
const text = ({ status }: Call): string => describeStatus(status);

/** The calls that take a lock in a mode, e.g. `tree X`. */
const takers = (module: ModuleName, lock: string): string[] =>
  callsOf(module)
    .filter((row: CallRow) =>
      observeLocks(new PreparedCall(module, row)).taken.some(
        ({ name, mode }) => `${name} ${mode}` === lock,
      ),
    )
    .map(({ title }) => title);

describe.for(MODULE_VERSIONS)('module %s', (module) => {
  test('the functions that hold the whole tree are those that README names', () => {
    const expected = isOld(module)
      ? [...CHANGING, ARMED]
      : ['TDH.MEM.RANGE.BLOCK', 'TDH.MEM.RANGE.UNBLOCK', 'TDH.MEM.SEPT.REMOVE', ARMED];
    expect(takers(module, 'tree X').toSorted()).toEqual(expected.toSorted());
  });

  test('in 1.5 most functions share the tree and lock one entry, in 1.0.03 none does', () => {
    const shares = takers(module, 'tree S');
    const locks = new Set(takers(module, 'entry X'));
    const both = CHANGING.filter((name) => shares.includes(name) && locks.has(name));
    expect(both).toEqual(
      isOld(module)
        ? []
        : [
            'PAGE.AUG',
            'PAGE.DEMOTE',
            'PAGE.PROMOTE',
            'PAGE.RELOCATE',
            'PAGE.REMOVE',
            'SEPT.ADD',
          ].map((name) => `TDH.MEM.${name}`),
    );
  });

  test('VP.INIT holds the TDR exclusively from version 1 on, which 1.5.05 has', () => {
    expect(takers(module, 'TDR* X')).toEqual(
      module === '1.5.05' ? ['TDH.VP.INIT (version 1)'] : [],
    );
  });

  test('a BLOCK that meets an ACCEPT wins in 1.0.03, and is refused in 1.5', () => {
    const { rig, accept, block, entry } = withPendingPage(module);
    const racing = accept(0);
    runUntil(
      racing,
      (announced) => isChanging(announced) && (rig.m.peek(entry) & ENTRY_LOCK) !== 0,
    );
    const blocked = text(atomically(block()));
    const answers = [blocked, text(atomically(racing))];
    expect(answers).toEqual(
      isOld(module)
        ? ['TDX_SUCCESS', 'TDX_OPERAND_BUSY|RCX']
        : ['TDX_OPERAND_BUSY|RCX', 'TDX_SUCCESS'],
    );
  });

  test('an ACCEPT that meets a BLOCK wins in 1.0.03 if it is done before the exchange', () => {
    const { accept, block, entry } = withPendingPage(module);
    const racing = block();
    runUntil(racing, (announced) => isChanging(announced) && cellOf(announced) === entry);
    const accepted = text(atomically(accept(0)));
    const answers = [text(atomically(racing)), accepted];
    expect(answers).toEqual(
      isOld(module)
        ? ['TDX_OPERAND_BUSY|RCX', 'TDX_SUCCESS']
        : ['TDX_SUCCESS', 'TDX_OPERAND_BUSY|RCX'],
    );
  });

  test('a host that is refused gets priority over the next guest in 1.5, not in 1.0.03', () => {
    const { rig, accept, entry } = withPendingPage(module);
    const racing = accept(0);
    runUntil(racing, () => (rig.m.peek(entry) & ENTRY_LOCK) !== 0);
    rig.call('TDH.MEM.SEPT.RD', rig.mapping(0, 0));
    atomically(racing);
    expect(text(atomically(accept(1)))).toBe(
      isOld(module) ? 'TDX_PAGE_ALREADY_ACCEPTED|level 0' : 'TDX_OPERAND_BUSY_HOST_PRIORITY|RCX',
    );
  });

  test('removals and resizes need TRACK while the TD is built in 1.0.03 only', () => {
    for (const [name, level, gfn] of REMOVALS) {
      const building = removal(module, false, name, level, gfn);
      expect(building, name).toBe(isOld(module) ? 'TDX_TLB_TRACKING_NOT_DONE' : 'TDX_SUCCESS');
      expect(removal(module, true, name, level, gfn), name).toBe('TDX_TLB_TRACKING_NOT_DONE');
    }
  });

  test('upstream-6.19 breaks S01 on 1.0.03, where it omits TRACK while the TD is built', () => {
    const engine = new Engine({ policy: upstream619, kind: 'new-td', module });
    const violation = engine.run(parseScenario('new-td | h0: add-memory 2; unmap 2'));
    expect(violation?.rule).toBe(isOld(module) ? 'S01' : undefined);
  });

  test('PROMOTE merges MAPPED pages in all versions, PENDING ones in 1.5 only', () => {
    expect(promotion(module, 'TDH.MEM.PAGE.ADD')).toBe('TDX_SUCCESS');
    expect(promotion(module, 'TDH.MEM.PAGE.AUG')).toBe(
      isOld(module) ? 'TDX_EPT_INVALID_PROMOTE_CONDITIONS|RCX' : 'TDX_SUCCESS',
    );
  });

  test('DEMOTE splits a page that is not blocked while the TD is built in 1.5 only', () => {
    const rig = new TdRig({ module, finalize: false });
    rig.addTables(0);
    rig.must('TDH.MEM.PAGE.AUG', { ...rig.mapping(2, 1), r8: rig.address(rig.pageOf(2, 1)) });
    const call = rig.call('TDH.MEM.PAGE.DEMOTE', {
      ...rig.mapping(2, 1),
      r8: rig.address(rig.tablePage(2, 1)),
    });
    expect(text(call)).toBe(isOld(module) ? 'TDX_GPA_RANGE_NOT_BLOCKED|RCX' : 'TDX_SUCCESS');
  });

  test('PROMOTE and DEMOTE are interrupted in 1.5 only', () => {
    const rows = callsOf(module).filter(({ title }) => /PROMOTE|DEMOTE/.test(title));
    const outcomes = rows.map((row) => interruptedOutcome(new PreparedCall(module, row)));
    expect(outcomes).toEqual(
      isOld(module) ? [null, null] : ['INTERRUPTED_RESTARTABLE', 'INTERRUPTED_RESTARTABLE'],
    );
  });
});

/** A running TD with both vCPUs inside and a pending page at GFN 0. */
function withPendingPage(module: ModuleName) {
  const rig = new TdRig({ module });
  rig.addTables(0);
  rig.must('TDH.MEM.PAGE.AUG', { ...rig.mapping(0, 0), r8: rig.address(rig.pageOf(0)) });
  for (const lp of [0, 1]) rig.must('TDH.VP.ENTER', { rcx: rig.address(rig.tdvpr(lp)), lp });
  const accept = (vcpu: number) =>
    rig.invoke('TDG.MEM.PAGE.ACCEPT', { rcx: 0, vcpu: rig.tdvpr(vcpu), interruptAfter: -1 });
  return {
    rig,
    accept,
    block: () => rig.invoke('TDH.MEM.RANGE.BLOCK', rig.mapping(0, 0)),
    entry: rig.memory.word(tableAt(rig.tdx, TDR, 0, 0), 0),
  };
}

const isChanging = (announced: number): boolean =>
  kindOf(announced) === RMW || kindOf(announced) === WRITE;

/** Functions that end a translation, with the level and GFN of an entry that each of them takes. */
const REMOVALS = [
  ['TDH.MEM.PAGE.REMOVE', 0, 0],
  ['TDH.MEM.PAGE.RELOCATE', 0, 0],
  ['TDH.MEM.PAGE.DEMOTE', 1, 2],
  ['TDH.MEM.PAGE.PROMOTE', 1, 0],
  ['TDH.MEM.SEPT.REMOVE', 1, 4],
] as const;

/** The status, without its operand, of a call on an entry that is blocked and not tracked. */
function removal(
  module: ModuleName,
  finalize: boolean,
  name: string,
  level: number,
  gfn: number,
): string {
  const rig = new TdRig({ module, finalize: false });
  rig.addTables(0);
  for (const at of [2, 1])
    rig.must('TDH.MEM.SEPT.ADD', { ...rig.mapping(4, at), r8: rig.address(rig.tablePage(4, at)) });
  for (const page of [0, 1]) add(rig, 'TDH.MEM.PAGE.ADD', page);
  rig.must('TDH.MEM.PAGE.AUG', { ...rig.mapping(2, 1), r8: rig.address(rig.pageOf(2, 1)) });
  if (finalize) rig.must('TDH.MR.FINALIZE', { rcx: rig.address(TDR) });
  rig.must('TDH.MEM.RANGE.BLOCK', rig.mapping(gfn, level));
  const free = level === 0 ? rig.sparePage(0) : rig.sparePage(4);
  return text(rig.call(name, { ...rig.mapping(gfn, level), r8: rig.address(free) })).replace(
    /\|.*/,
    '',
  );
}

function add(rig: TdRig, name: string, gfn: number): void {
  const r8 = rig.address(rig.pageOf(gfn));
  rig.must(name, { ...rig.mapping(gfn, 0), r8, r9: 0x1000_0000 });
}

/** The status of PROMOTE of a table whose pages a function added, blocked and tracked. */
function promotion(module: ModuleName, adds: string): string {
  const rig = new TdRig({ module, finalize: false });
  rig.addTables(0);
  for (const gfn of [0, 1]) add(rig, adds, gfn);
  rig.must('TDH.MEM.RANGE.BLOCK', rig.mapping(0, 1));
  rig.must('TDH.MEM.TRACK', { rcx: rig.address(TDR) });
  return text(rig.call('TDH.MEM.PAGE.PROMOTE', rig.mapping(0, 1)));
}

test('README states what these tests check', () => {
  const [, claims = ''] = README.split('What differs between the modules');
  for (const head of [
    'BUSY against what',
    'ACCEPT meets RANGE.BLOCK',
    'TRACK',
    'PROMOTE and DEMOTE',
  ])
    expect(claims).toContain(head);
});
