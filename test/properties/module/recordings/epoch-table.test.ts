/**
 * The answers of each module with TD_EPOCH, REFCOUNT and BEPOCH forced to values that calls hardly
 * lead to. The recordings (not shipped) are tables.
 */
import { expect } from 'vitest';
import {
  buildEntry,
  entrySpec,
  PagePool,
  pagesFromPool,
} from '../../../../properties/module/recordings/setups/entries.ts';
import { builtTds, Testbed } from '../../../../properties/module/recordings/setups/testbed.ts';
import { epochOfWord, wordOfEpoch } from '../../../../spec/tdx/epoch.ts';
import { statusName } from '../../../../spec/tdx/status.ts';
import { RUNNABLE, TD } from '../../../../spec/tdx/td.ts';
import { RECORDED_MODULES, recordedJson, testWith } from './recorded.ts';

interface EpochRow {
  readonly tdEpoch: number;
  readonly refcount: readonly [number, number];
  /** Bit 63 does not fit into a number. */
  readonly bepoch: number | string;
  readonly pageRemove: string;
  readonly thenTrack: string;
  readonly tdEpochAfterTrack: number;
}

const FEWEST = 90;

/** PAGE.REMOVE of a BLOCKED 4K page, and then TRACK, with the words of `row`. */
function answersTo(testbed: Testbed, row: EpochRow): EpochRow {
  const { m, tdx } = testbed;
  const mark = testbed.mark();
  const pool = new PagePool();
  const pages = pagesFromPool(pool);
  const page = pages.leaf(0);
  const spec = entrySpec('BLOCKED@L0');
  buildEntry(testbed, pool, 0, 0, spec, { ...pages, leaf: () => page });
  const rdx = testbed.tdrAddress(0);
  m.poke(testbed.tdCell(0, TD.OP_STATE), RUNNABLE);
  m.poke(testbed.tdCell(0, TD.TD_EPOCH), wordOfEpoch(BigInt(row.tdEpoch)));
  m.poke(testbed.tdCell(0, TD.REFCOUNT_EVEN), row.refcount[0]);
  m.poke(testbed.tdCell(0, TD.REFCOUNT_ODD), row.refcount[1]);
  const number = (page - testbed.address(0)) / 4096;
  m.poke(tdx.pamt.bepoch(number, 0), wordOfEpoch(BigInt(row.bepoch)));
  const answers = {
    ...row,
    pageRemove: statusName(testbed.call('TDH.MEM.PAGE.REMOVE', { rcx: 0, rdx }).status),
    thenTrack: statusName(testbed.call('TDH.MEM.TRACK', { rcx: rdx }).status),
    tdEpochAfterTrack: Number(epochOfWord(m.peek(testbed.tdCell(0, TD.TD_EPOCH)))),
  };
  testbed.undo(mark);
  return answers;
}

for (const module of RECORDED_MODULES) {
  testWith(
    'epoch_table.json',
    `PAGE.REMOVE and then TRACK answer as module ${module} with every epoch and count`,
    () => {
      // testWith has found it
      const { rows } = recordedJson('epoch_table.json', module) as { rows: EpochRow[] };
      const testbed = new Testbed(builtTds, module);
      expect(rows.map((row) => answersTo(testbed, row))).toEqual(rows);
      expect(rows.length).toBeGreaterThan(FEWEST);
    },
    module,
  );
}
