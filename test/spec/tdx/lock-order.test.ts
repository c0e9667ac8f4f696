/**
 * The locks that each function takes and releases, in order, are those of the recorded calls.
 * Source: docs/module-notes.md#release-order.
 */
import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { builtTds, Testbed } from '../../../properties/module/recordings/setups/testbed.ts';
import { withPair, type PairOfCalls } from '../../properties/module/recordings/pairs.ts';
import { RECORDED_MODULES, testWith } from '../../properties/module/recordings/recorded.ts';

const testbed = new Testbed(builtTds, '1.5');

const VERBS = new Map([
  ['afterAcquire', 'takes'],
  ['beforeRelease', 'frees'],
]);
/** Of the 512 children that PROMOTE locks, the recordings list the first. */
const isListed = (lock: string): boolean => !/^SEPT_ENTRY.*idx=[1-9]/.test(lock);

/** The locks that X takes and releases, e.g. `takes TD0.SEPT_TREE`. */
const lockEvents = (pair: Omit<PairOfCalls, 'y'>): string[] =>
  withPair(testbed, { ...pair, y: 'TDH.MEM.SEPT.RD' }, ({ tried }) =>
    tried.flatMap(({ event, what }) => {
      const verb = VERBS.get(event);
      return verb !== undefined && isListed(what) ? [`${verb} ${what}`] : [];
    }),
  );

interface RecordedLocks {
  readonly function: string;
  readonly opState: string;
  readonly entryState: string;
  readonly events: readonly { readonly event: string; readonly lock: string }[];
}

describe.for(RECORDED_MODULES)('module %s', (version) => {
  testWith(
    'locks.json',
    'every recorded call on an entry takes and releases its locks in the same order',
    (path) => {
      const { functions } = JSON.parse(readFileSync(path, 'utf8')) as {
        readonly functions: readonly RecordedLocks[];
      };
      const onEntries = functions.filter(({ entryState }) => entryState.includes('@'));
      for (const { function: x, opState, entryState: entry, events } of onEntries) {
        const recorded = events.map(
          ({ event, lock }) => `${event === 'release' ? 'frees' : 'takes'} ${lock}`,
        );
        expect(lockEvents({ x, opState, entry }), `${x} on ${entry}`).toEqual(recorded);
      }
      expect(onEntries.length).toBeGreaterThan(20);
    },
    version,
  );
});

test('MEM.RD and MEM.WR release the TDR before the entry, the tree and OP_STATE', () => {
  for (const x of ['TDH.MEM.RD', 'TDH.MEM.WR']) {
    const events = lockEvents({ x, entry: 'MAPPED@L0' });
    expect(events.filter((event) => event.startsWith('frees'))).toEqual([
      'frees PAMT_4K[TDR0]',
      'frees PAMT_2M[0x100000000]',
      'frees PAMT_1G[0x100000000]',
      'frees SEPT_ENTRY[page=0x100202000,idx=0]',
      'frees TD0.SEPT_TREE',
      'frees TD0.OP_STATE',
    ]);
  }
});
