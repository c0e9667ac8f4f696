/**
 * The order in which functions take locks, write and release: what two calls at the same time can
 * see of each other. Source: docs/module-notes.md#release-order.
 */
import { describe, expect, test } from 'vitest';
import {
  isListed,
  type CallEvent,
} from '../../../properties/module/recordings/conflicts/call-trace.ts';
import { setUpCell } from '../../../properties/module/recordings/conflicts/conflicts.ts';
import { readCells } from '../../../properties/module/recordings/conflicts/format.ts';
import { PairMeasurement } from '../../../properties/module/recordings/conflicts/measurement.ts';
import { RecordedNames } from '../../../properties/module/recordings/conflicts/recorded-names.ts';
import { builtTds, Testbed } from '../../../properties/module/recordings/setups/testbed.ts';
import { EPT, Pamt } from '../../../spec/tdx/pamt.ts';
import { withPair } from '../../properties/module/recordings/pairs.ts';
import { testWith } from '../../properties/module/recordings/recorded.ts';

const testbed = new Testbed(builtTds, '1.5');
const names = new RecordedNames(testbed.u);

const hex = (word: bigint): string => `0x${word.toString(16).padStart(16, '0')}`;

/** An event as recordings of a call's order write it. */
const written = ({ index, event, what, kind, ...word }: CallEvent): object => ({
  i: index,
  event,
  what,
  ...(kind === undefined ? {} : { kind }),
  ...(word.old === undefined ? {} : { old: hex(word.old) }),
  ...(word.new === undefined ? {} : { new: hex(word.new) }),
});

testWith(
  'commit-order.jsonl.gz',
  'every recorded call acquires, writes and releases in the same order',
  async (path) => {
    let events = 0;
    const { cells } = await readCells(path);
    for (const recorded of cells) {
      if (recorded.kind !== 'order') throw new Error(`${recorded.where} is no order`);
      const { where, cell } = recorded;
      const mark = testbed.mark();
      const measured = new PairMeasurement(setUpCell(testbed, recorded), names);
      expect(
        measured.tried.filter(isListed).map(written),
        `${where}, ${cell.x} on ${cell.xEntry}`,
      ).toEqual(cell.events);
      expect(measured.xAlone, where).toBe(cell.status);
      testbed.undo(mark);
      events += cell.events.length;
    }
    console.log(`commit-order.jsonl.gz: ${cells.length} calls, ${events} events`);
    expect(events).toBeGreaterThan(0);
  },
);

/** Verbs for events. The expectations below leave out the part in brackets, which is the page. */
const VERBS = new Map([
  ['afterAcquire', 'takes'],
  ['afterWrite', 'writes'],
  ['beforeRelease', 'frees'],
]);
const inWords = (events: readonly CallEvent[]): string[] =>
  events
    .filter(isListed)
    .map(({ event, what }) => `${VERBS.get(event)} ${what.replace(/\[.*\]/, '')}`);

/** All of a call's events, in words. */
const whole = (x: string, entry: string, opState = 'RUNNABLE'): string[] =>
  withPair(testbed, { x, y: 'TDH.MEM.SEPT.RD', entry, opState }, ({ tried }) => inWords(tried));

/** The words that the call writes, and the locks that it releases between them. */
function commit(x: string, entry: string): string[] {
  const events = whole(x, entry);
  const writes = events.map((event) => event.startsWith('writes'));
  return events.slice(writes.indexOf(true), writes.lastIndexOf(true) + 1);
}

const PAMT = 'writes PAMT_4K.type/owner';
const COUNT = 'writes TDR.CHLDCNT';
const ENTRY = 'writes SEPT_ENTRY';

describe('a call that commits', () => {
  test('PAGE.AUG writes and unlocks the entry before it writes PAMT', () => {
    expect(commit('TDH.MEM.PAGE.AUG', 'FREE@L0')).toEqual([ENTRY, COUNT, PAMT, PAMT]);
    expect(whole('TDH.MEM.PAGE.AUG', 'FREE@L0')).not.toContain('frees SEPT_ENTRY');
  });

  test('SEPT.ADD links the table after PAMT and CHLDCNT, and unlocks the entry after that', () => {
    expect(commit('TDH.MEM.SEPT.ADD', 'FREE@L1')).toEqual([PAMT, COUNT, ENTRY]);
    expect(whole('TDH.MEM.SEPT.ADD', 'FREE@L1')).toContain('frees SEPT_ENTRY');
  });

  test('PAGE.REMOVE frees the entry before the page', () => {
    expect(commit('TDH.MEM.PAGE.REMOVE', 'BLOCKED(tracked)@L0')).toEqual([ENTRY, COUNT, PAMT]);
  });

  test('PAGE.RELOCATE frees the old page and assigns the new one before it sets the entry', () => {
    expect(commit('TDH.MEM.PAGE.RELOCATE', 'BLOCKED(tracked)@L0')).toEqual([
      PAMT,
      PAMT,
      PAMT,
      ENTRY,
    ]);
  });

  test('PAGE.DEMOTE writes the parts and releases the range before it writes the entry', () => {
    expect(commit('TDH.MEM.PAGE.DEMOTE', 'BLOCKED(tracked)@L1')).toEqual([
      PAMT,
      PAMT,
      PAMT,
      PAMT,
      'writes PAMT_2M.type/owner',
      'frees PAMT_2M',
      ENTRY,
      PAMT,
      PAMT,
      COUNT,
    ]);
  });

  test('PAGE.PROMOTE releases the range before it sets the entry, and frees the table last', () => {
    expect(commit('TDH.MEM.PAGE.PROMOTE', 'NL_BLOCKED(tracked,512xMAPPED)@L1')).toEqual([
      'writes PAMT_2M.type/owner',
      'writes PAMT_2M.type/owner',
      PAMT,
      PAMT,
      'frees PAMT_2M',
      ENTRY,
      COUNT,
      PAMT,
    ]);
  });

  test('RANGE.BLOCK blocks the entry before it writes BEPOCH', () => {
    expect(commit('TDH.MEM.RANGE.BLOCK', 'MAPPED@L0')).toEqual([ENTRY, 'writes PAMT_4K.bepoch']);
  });
});

const WALK_OF_TDR = ['PAMT_1G', 'PAMT_2M', 'PAMT_4K'];
const TAKEN = [...WALK_OF_TDR, 'TD0.OP_STATE', 'TD0.SEPT_TREE', 'SEPT_ENTRY'];

describe('a call that is refused', () => {
  test('a call refused for its entry releases its locks, last first, and writes nothing', () => {
    expect(whole('TDH.MEM.PAGE.AUG', 'MAPPED@L0')).toEqual([
      ...TAKEN.map((lock) => `takes ${lock}`),
      ...TAKEN.toReversed().map((lock) => `frees ${lock}`),
    ]);
  });

  test('a call that is refused for its new page releases the page at once, leaf first', () => {
    withPair(
      testbed,
      { x: 'TDH.MEM.PAGE.AUG', y: 'TDH.MEM.SEPT.RD', entry: 'FREE@L0' },
      (measured, { x }) => {
        const page = (x.operands.r8 - testbed.address(0)) / 4096;
        testbed.m.poke(testbed.tdx.pamt.meta(page, 0), Pamt.pack(EPT, testbed.slot(0).tdr));
        expect(measured.xAlone).toBe('TDX_PAGE_METADATA_INCORRECT|R8');
        expect(inWords(measured.tried).slice(TAKEN.length)).toEqual([
          ...WALK_OF_TDR.map((lock) => `takes ${lock}`),
          ...WALK_OF_TDR.toReversed().map((lock) => `frees ${lock}`),
          ...TAKEN.toReversed().map((lock) => `frees ${lock}`),
        ]);
      },
    );
  });
});

test('MEM.RD and MEM.WR release the TDR before the entry, the tree and OP_STATE', () => {
  for (const x of ['TDH.MEM.RD', 'TDH.MEM.WR']) {
    expect(whole(x, 'MAPPED@L0').filter((event) => event.startsWith('frees'))).toEqual([
      'frees PAMT_4K',
      'frees PAMT_2M',
      'frees PAMT_1G',
      'frees SEPT_ENTRY',
      'frees TD0.SEPT_TREE',
      'frees TD0.OP_STATE',
    ]);
  }
});

/** Bit 52 of an entry: a host call found it locked. */
const HOST_PRIORITY = 1n << 52n;

describe('host priority that another call requests', () => {
  test('a priority bit on the first child during PAGE.PROMOTE ends in the merged leaf', () => {
    const pair = {
      x: 'TDH.MEM.PAGE.PROMOTE',
      y: 'TDH.MEM.PAGE.AUG',
      relation: 'yOnChildEntryOfX',
      opState: 'INITIALIZED',
      entry: 'NL_MAPPED(512xMAPPED)@L1',
      yEntry: 'L0 child',
    };
    withPair(testbed, pair, (measured) => {
      const { yStatus, xStatus, entryAfter } = measured.pausedAt(measured.trace?.lastAcquire ?? 0);
      expect([yStatus, xStatus]).toEqual(['TDX_OPERAND_BUSY|RCX', 'TDX_SUCCESS']);
      expect(entryAfter & HOST_PRIORITY).toBe(HOST_PRIORITY);
    });
  });

  test('a priority bit during PAGE.RELOCATE stays only if it came before the reread', () => {
    const pair = {
      x: 'TDH.MEM.PAGE.RELOCATE',
      y: 'TDH.MEM.PAGE.AUG',
      entry: 'BLOCKED(tracked)@L0',
    };
    withPair(testbed, pair, (measured) => {
      const acquired = measured.tried.filter(({ event }) => event === 'afterAcquire');
      const locked = acquired.find(({ what }) => what.startsWith('SEPT_ENTRY'));
      const early = measured.pausedAt(locked?.steps ?? 0);
      expect([early.yStatus, early.entryAfter & HOST_PRIORITY]).toEqual([
        'TDX_OPERAND_BUSY|RCX',
        HOST_PRIORITY,
      ]);
      const late = measured.pausedAt(measured.trace?.lastAcquire ?? 0);
      expect([late.yStatus, late.entryAfter & HOST_PRIORITY]).toEqual(['TDX_OPERAND_BUSY|RCX', 0n]);
    });
  });
});
