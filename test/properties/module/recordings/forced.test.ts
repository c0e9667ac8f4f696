/**
 * The answers of modules 1.5 with one entry forced to a value that calls hardly lead to. The
 * recordings (not shipped) are tables.
 *
 * A table gives the entry, the OP_STATE and whether tracking is done; addresses follow from the raw
 * values of a row. Values that no table has, and on which no row depends, are chosen here: the GPA,
 * the child that is mapped if only one is (not the first: reads at the range's GPA do not find it),
 * TD_EPOCH, and the data.
 */
import { describe, expect, test } from 'vitest';
import type { SequentialConfig } from '../../../../properties/module/recordings/format/config.ts';
import { fromRegister } from '../../../../properties/module/recordings/format/registers.ts';
import {
  Universes,
  word,
  type Universe,
} from '../../../../properties/module/recordings/universe/universe.ts';
import { atomically } from '../../../../spec/machine/step.ts';
import { OPERANDS_ZERO, type Call, type Operands } from '../../../../spec/tdx/call.ts';
import {
  entry,
  FREE,
  fromRaw,
  isLeaf,
  isTable,
  MAPPED,
  NL_MAPPED,
  stateName,
  stateOf,
  toArchitectural,
  toRaw,
} from '../../../../spec/tdx/entry.ts';
import { FUNCTIONS } from '../../../../spec/tdx/functions/index.ts';
import { EPT, Pamt, REG } from '../../../../spec/tdx/pamt.ts';
import { describeStatus } from '../../../../spec/tdx/status.ts';
import { INITIALIZED, RUNNABLE, TD } from '../../../../spec/tdx/td.ts';
import { GPA, operandsFor, type ForcedRow } from './forced-rows.ts';
import { recordedJson } from './recorded.ts';

const CONFIG: SequentialConfig = {
  tdmr: { base: '0x100000000', size: '0x100000000' },
  hkidBits: [46, 51],
  reservedPage: '0x1005ff000',
  septLevels: 4,
  gpaw: 0,
  debug: 1,
  septVeDisable: 1,
  tds: [
    {
      td: 0,
      tdr: '0x100000000',
      tdcx: ['0x100001000', 6],
      septRoot: '0x100004000',
      hkid: 34,
      tdvpr: ['0x100010000'],
    },
  ],
};
const TDR = 0x100000000;
const TDVPR = 0x100010000;
const TABLES = ['0x100300000', '0x100301000', '0x100302000'];
const CHILDREN = '0x101400000';
const PAGES = { tdr: TDR, newSmall: 0x1003c0000, newLarge: 0x100800000 };
const EPOCH = 10;

function poke(u: Universe, page: number, index: number, value: number): void {
  u.tdx.m.poke(u.tdx.memory.word(page, index), value);
}

function assign(u: Universe, page: number, size: number, type: number, bepoch: number): void {
  u.tdx.m.poke(u.tdx.pamt.meta(page, size), Pamt.pack(type, u.page(CONFIG.tds[0]?.tdr ?? '0x0')));
  u.tdx.m.poke(u.tdx.pamt.bepoch(page, size), bepoch);
}

/** Builds a TD with tables down to `level`, and puts `raw` there. Returns the entry's cell. */
function force(
  universes: Universes,
  raw: string,
  level: number,
  bepoch: number,
  content: string | null,
): { u: Universe; cell: number } {
  const u = universes.build(CONFIG);
  const tdr = u.page('0x100000000');
  let table = word(u, tdr, TD.SEPT_ROOT);
  for (let at = 3; at > level; at--) {
    const next = u.page(TABLES[at - 1] ?? '0x0');
    assign(u, next, 0, EPT, 0);
    poke(u, table, u.tdx.geometry.index(GPA / 4096, at), entry(NL_MAPPED, next));
    table = next;
  }
  const forced = fromRaw(BigInt(raw), u.tdx.base);
  if (forced === null) throw new Error(`no state has the bits of ${raw}`);
  poke(u, table, 0, forced);
  const target = u.page(`0x${(BigInt(raw) & 0xffffffffff000n).toString(16)}`);
  if (isTable(forced)) {
    assign(u, target, 0, EPT, bepoch);
    const first = u.page(CHILDREN);
    const [from, to] =
      content === '512 contiguous MAPPED'
        ? [0, 512]
        : content === '1 child MAPPED'
          ? [5, 6]
          : [0, 0];
    for (let i = from; i < to; i++) {
      assign(u, first + i, 0, REG, 0);
      poke(u, target, i, entry(MAPPED, first + i));
    }
  } else if (isLeaf(forced)) assign(u, target, level, REG, bepoch);
  return { u, cell: u.tdx.memory.word(table, 0) };
}

function call(u: Universe, op: string, operands: Partial<Operands>): Call {
  const fn = FUNCTIONS.get(op);
  if (fn === undefined) throw new Error(`${op} is not specified`);
  return atomically(u.tdx.invoke(fn, { ...OPERANDS_ZERO, interruptAfter: -1, ...operands }));
}

const statusOf = (done: Call): string =>
  done.exitReason >= 0
    ? `(TD_EXIT ${done.exitReason})`
    : describeStatus(done.status).replace('level ', 'LEVEL');

function answerTo(
  universes: Universes,
  row: ForcedRow,
): Omit<ForcedRow, 'op' | 'opState' | 'level' | 'content' | 'tlbTracked'> {
  const { u, cell } = force(
    universes,
    row.rawBefore,
    row.level,
    row.tlbTracked ? EPOCH - 5 : EPOCH,
    row.content,
  );
  const tdr = u.page('0x100000000');
  poke(u, tdr, TD.OP_STATE, row.opState === 'RUNNABLE' ? RUNNABLE : INITIALIZED);
  poke(u, tdr, TD.TD_EPOCH, EPOCH);
  if (row.op.startsWith('TDG.')) expect(call(u, 'TDH.VP.ENTER', { rcx: TDVPR }).status).toBe(0);
  const before = u.tdx.m.peek(cell);
  const chldcnt = word(u, tdr, TD.CHLDCNT);
  const done = call(
    u,
    row.op,
    operandsFor(row, { ...PAGES, guest: { vcpu: u.page('0x100010000') } }),
  );
  const after = u.tdx.m.peek(cell);
  const rcx =
    done.rcxEntry === null ? fromRegister(done.rcx) : toArchitectural(done.rcxEntry, u.tdx.base);
  return {
    stateBefore: stateName(stateOf(before)),
    rawBefore: `0x${toRaw(before, u.tdx.base).toString(16)}`,
    status: statusOf(done),
    stateAfter: stateName(stateOf(after)),
    rawAfter: `0x${toRaw(after, u.tdx.base).toString(16)}`,
    chldcntDelta: word(u, tdr, TD.CHLDCNT) - chldcnt,
    outRcx: `0x${rcx.toString(16)}`,
    outRdx: `0x${fromRegister(done.rdx).toString(16)}`,
  };
}

for (const module of ['1.5.01', '1.5.05'] as const) {
  const universes = new Universes(module);
  // the recording's own format
  const transitions = recordedJson('transitions.json', module) as { forced: ForcedRow[] } | null;

  describe.skipIf(transitions === null)(`module ${module}, entries forced to each state`, () => {
    const rows = transitions?.forced ?? [];
    const ops = [...new Set(rows.map((row) => row.op))];

    test.each(ops)('%s answers and changes the entry as the module does', (op) => {
      const asked = rows.filter((row) => row.op === op);
      const answers = asked.map((row) => ({ ...row, ...answerTo(universes, row) }));
      expect(answers).toEqual(asked);
    });

    test('the table has all states and functions', () => {
      expect(rows).toHaveLength(1904);
      expect(new Set(rows.map((row) => row.stateBefore)).size).toBe(16);
      expect(ops).toHaveLength(15);
    });
  });
}

test('a FREE entry is the word 0, so a new table is empty', () => {
  expect(entry(FREE, 0)).toBe(0);
});
