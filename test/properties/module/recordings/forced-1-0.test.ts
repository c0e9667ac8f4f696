/**
 * The answers of module 1.0.03 to one call on an entry in each of its states, with each content of
 * a table. The recording (not shipped) is a table; its states are built by calls.
 *
 * On the child that differs from the others no row depends: here it is the last.
 */
import { expect } from 'vitest';
import { statusText } from '../../../../properties/module/recordings/conflicts/status.ts';
import { outputOf } from '../../../../properties/module/recordings/format/registers.ts';
import {
  accept,
  buildEntry,
  buildTables,
  bytesAt,
  entryCell,
  entrySpec,
  PagePool,
  pagesFromPool,
} from '../../../../properties/module/recordings/setups/entries.ts';
import {
  builtTds,
  lpOf,
  Testbed,
} from '../../../../properties/module/recordings/setups/testbed.ts';
import {
  BLOCKED,
  MAPPED,
  NL_BLOCKED,
  PENDING,
  stateName,
  stateOf,
} from '../../../../spec/tdx/entry.ts';
import { RUNNABLE, TD } from '../../../../spec/tdx/td.ts';
import { GPA, operandsFor, type ForcedRow } from './forced-rows.ts';
import { recordedJson, testWith } from './recorded.ts';

const CHILDREN = 0x100800000;
/** A page that is not the one after the other children's. */
const ELSEWHERE = 0x100a00000;
const LAST = 511;

/** How the children of a table are: all but the last, and the last one; none if absent. */
const CONTENTS: ReadonlyMap<
  string,
  readonly [all: number | null, last: number | null, page?: number]
> = new Map([
  ['empty', [null, null]],
  ['512xMAPPED', [MAPPED, MAPPED]],
  ['511xMAPPED', [MAPPED, null]],
  ['512xPENDING', [PENDING, PENDING]],
  ['511xMAPPED+1xPENDING', [MAPPED, PENDING]],
  ['512xMAPPED,one BLOCKED', [MAPPED, BLOCKED]],
  ['512xMAPPED not contiguous', [MAPPED, MAPPED, ELSEWHERE]],
]);

const testbed = new Testbed(builtTds, '1.0.03');
const { m, tdx } = testbed;
const rdx = testbed.tdrAddress(0);
const PAGES = { tdr: rdx, newSmall: 0x100380000, newLarge: 0x102000000 };
const guest = { vcpu: testbed.tdvpr(0, 0), lp: lpOf(0, 0) };

function buildTable(pool: PagePool, { level, content, stateBefore }: ForcedRow): void {
  buildTables(testbed, pool, 0, GPA, level);
  testbed.expect('TDH.MEM.SEPT.ADD', { rcx: GPA + level, rdx, r8: pool.small() });
  if (content === '1 table') {
    testbed.expect('TDH.MEM.SEPT.ADD', { rcx: GPA + level - 1, rdx, r8: pool.small() });
  } else {
    const known = CONTENTS.get(content ?? '');
    if (known === undefined) throw new Error(`no table is ${content}`);
    fill(known, level - 1);
  }
  if (stateBefore === stateName(NL_BLOCKED))
    testbed.expect('TDH.MEM.RANGE.BLOCK', { rcx: GPA + level, rdx });
}

function fill(
  [all, last, page]: readonly [number | null, number | null, number?],
  level: number,
): void {
  const size = bytesAt(testbed, level);
  for (let i = 0; i <= LAST; i++) {
    const state = i < LAST ? all : last;
    if (state === null) continue;
    const rcx = GPA + i * size + level;
    const r8 = i < LAST ? CHILDREN + i * size : (page ?? CHILDREN + i * size);
    testbed.expect('TDH.MEM.PAGE.AUG', { rcx, rdx, r8 });
    if (state !== PENDING) accept(testbed, 0, GPA + i * size, level);
    if (state === BLOCKED) testbed.expect('TDH.MEM.RANGE.BLOCK', { rcx, rdx });
  }
}

const hex = (value: bigint): string => `0x${value.toString(16)}`;

/** The answer to one call, on the state that `row` names. */
function answerTo(row: ForcedRow): ForcedRow {
  const { op, opState, level, stateBefore, content, tlbTracked } = row;
  const mark = testbed.mark();
  const pool = new PagePool();
  if (content !== null) buildTable(pool, row);
  else
    buildEntry(testbed, pool, 0, GPA, entrySpec(`${stateBefore}@L${level}`), pagesFromPool(pool));
  if (opState === 'RUNNABLE') m.poke(testbed.tdCell(0, TD.OP_STATE), RUNNABLE);
  if (tlbTracked) testbed.expect('TDH.MEM.TRACK', { rcx: rdx });
  const operands = operandsFor(row, { ...PAGES, guest });
  if (operands.vcpu !== undefined) testbed.enter(0, 0);
  const cell = entryCell(testbed, 0, GPA, level);
  const raw = (): string => hex(tdx.rawEntry(m.peek(cell), testbed.slot(0).tdr));
  const state = (): string => stateName(stateOf(m.peek(cell)));
  const chldcnt = (): number => m.peek(testbed.tdCell(0, TD.CHLDCNT));

  const before = { stateBefore: state(), rawBefore: raw(), chldcnt: chldcnt() };
  const call = testbed.call(op, operands);
  const passed = { rcx: hex(BigInt(operands.rcx ?? 0)) };
  const output = (name: 'rcx' | 'rdx'): string =>
    hex(outputOf(tdx, testbed.u.tokens, call, name, passed, 0) ?? 0n);
  const answer = {
    ...row,
    stateBefore: before.stateBefore,
    rawBefore: before.rawBefore,
    status: statusText(call, testbed.conventions),
    stateAfter: state(),
    rawAfter: raw(),
    chldcntDelta: chldcnt() - before.chldcnt,
    outRcx: output('rcx'),
    outRdx: output('rdx'),
  };
  testbed.undo(mark);
  return answer;
}

testWith(
  'transitions.json',
  'module 1.0.03 answers and changes an entry as recorded, in each state and with each content',
  () => {
    // testWith has found it
    const { forced } = recordedJson('transitions.json', '1.0.03') as { forced: ForcedRow[] };
    const ops = [...new Set(forced.map((row) => row.op))];
    for (const op of ops) {
      const asked = forced.filter((row) => row.op === op);
      expect(asked.map(answerTo), op).toEqual(asked);
    }
    expect(forced.length).toBeGreaterThan(1000);
    expect(new Set(forced.map((row) => row.stateBefore)).size).toBe(7);
    expect(new Set(forced.map((row) => row.content)).size).toBe(CONTENTS.size + 2);
    expect(ops).toHaveLength(16);
  },
  '1.0.03',
);
