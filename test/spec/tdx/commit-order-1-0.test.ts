/**
 * The order in which functions of module 1.0.03 write and release, and that a version with one
 * thing changed has another order. Source: docs/module-notes.md#version-1003.
 */
import { describe, expect, test } from 'vitest';
import { PairMeasurement } from '../../../properties/module/recordings/conflicts/measurement.ts';
import { RecordedNames } from '../../../properties/module/recordings/conflicts/recorded-names.ts';
import { setUpLifecyclePair } from '../../../properties/module/recordings/setups/lifecycle.ts';
import {
  builtTds,
  emptySlots,
  Testbed,
} from '../../../properties/module/recordings/setups/testbed.ts';
import { HELD_IMPLICIT, HELD_PAGE } from '../../../spec/tdx/call.ts';
import { pageRelocate } from '../../../spec/tdx/functions/page-relocate.ts';
import type { VersionData } from '../../../spec/tdx/versions/index.ts';
import { V1_0_03 } from '../../../spec/tdx/versions/v1.0.03.ts';
import { V1_5_01 } from '../../../spec/tdx/versions/v1.5.01.ts';
import { withPair } from '../../properties/module/recordings/pairs.ts';

type Made = readonly [make: (version: VersionData) => string[], expected: readonly string[]];

/** Writes and releases, in order: a word with its new value, or a released lock. */
const commit = ({ trace }: PairMeasurement): string[] =>
  (trace?.events ?? []).flatMap(({ event, what, new: now }) =>
    event === 'afterWrite'
      ? [`${what} = 0x${now?.toString(16)}`]
      : event === 'beforeRelease'
        ? [`frees ${what}`]
        : [],
  );
/** The part of it that matches. */
const about = (events: readonly string[], what: RegExp): string[] =>
  events.filter((event) => what.test(event));

/** A call on an entry of a TD that is RUNNABLE. */
const onEntry =
  (x: string, entry: string, what: RegExp) =>
  (version: VersionData): string[] =>
    withPair(new Testbed(builtTds, version), { x, y: 'TDH.MEM.SEPT.RD', entry }, (measured) =>
      about(commit(measured), what),
    );

/** A call on a TD in a stage of its life. */
const inStage =
  (x: string, tdStageX: string, what: RegExp) =>
  (version: VersionData): string[] => {
    const testbed = new Testbed(emptySlots, version);
    const y = 'TDH.MNG.KEY.RECLAIMID';
    const pair = { x, y, relation: 'sameTD', tdStageX, tdStageY: null };
    const setup = setUpLifecyclePair(testbed, pair);
    return about(commit(new PairMeasurement(setup, new RecordedNames(testbed.u))), what);
  };

const NEW = 'PAMT_4K[0x100380000]';
const FIELDS: [keyof VersionData, Made[]][] = [
  [
    'demoteCountsFirst',
    [
      [
        onEntry('TDH.MEM.PAGE.DEMOTE', 'BLOCKED(tracked)@L1', /SEPT_E|CHLDCNT|0x100380000.*=/),
        [
          'SEPT_ENTRY[page=0x100201000,idx=0] = 0x8000000100380007',
          'TDR.CHLDCNT = 0x219',
          `${NEW}.type/owner = 0x100000000001`,
          `${NEW}.type/owner = 0x100000080001`,
        ],
      ],
    ],
  ],
  [
    'resizesPamtAtOnce',
    [
      [
        onEntry('TDH.MEM.PAGE.DEMOTE', 'BLOCKED(tracked)@L1', /_4K\[0x100800000/),
        ['PAMT_4K[0x100800000].type/owner = 0x100000030000'],
      ],
      [
        onEntry('TDH.MEM.PAGE.PROMOTE', 'NL_BLOCKED(tracked,512xMAPPED)@L1', /_2M\[0x1008.*=/),
        ['PAMT_2M[0x100800000].type/owner = 0x100000030001'],
      ],
    ],
  ],
  [
    'assignsStructuresTwice',
    [
      [
        inStage('TDH.MNG.ADDCX', 'KEYS_CONFIGURED, 3 TDCX', /0x100004000.*=/),
        [
          'PAMT_4K[0x100004000].type/owner = 0x50001',
          'PAMT_4K[0x100004000].type/owner = 0x100000050001',
        ],
      ],
      [
        inStage('TDH.VP.CREATE', 'INITIALIZED', /TDVPR0.*=/),
        ['PAMT_4K[TDVPR0.0].type/owner = 0x60001', 'PAMT_4K[TDVPR0.0].type/owner = 0x100000060001'],
      ],
      [
        inStage('TDH.VP.ADDCX', 'INITIALIZED, 5 TDVPS pages', /0x100015000.*=/),
        [
          'PAMT_4K[0x100015000].type/owner = 0x70001',
          'PAMT_4K[0x100015000].type/owner = 0x100000070001',
        ],
      ],
    ],
  ],
  [
    'writesVcpuHistory',
    [
      [
        onEntry('TDH.VP.ENTER', 'FREE@L0', /STATE/),
        ['TDVPS0.STATE = 0x5000000000004', 'TDVPS0.STATE = 0x5000000000104'],
      ],
      [
        onEntry('HW.TD.EXIT', 'FREE@L0', /TDVPS/),
        ['TDVPS0.LAST_EXIT_TSC = 0x1', 'TDVPS0.STATE = 0x5000000000102'],
      ],
      [
        onEntry('TDH.VP.FLUSH', 'FREE@L0', /TDVPS/),
        ['TDVPS0.STATE = 0x5000000000002', 'TDVPS0.ASSOC_LPID = 0x22ffffffff'],
      ],
    ],
  ],
];

describe.each(FIELDS)('with %s', (field, made) => {
  test('functions of module 1.0.03 write in the recorded order', () => {
    for (const [make, expected] of made) expect(make(V1_0_03)).toEqual(expected);
  });

  test('a version in which it is as in 1.5.01 writes otherwise', () => {
    const altered = { ...V1_0_03, name: 'altered', [field]: V1_5_01[field] };
    for (const [make, expected] of made) expect(make(altered)).not.toEqual(expected);
  });
});

describe('RELOCATE', () => {
  const OLD = 'frees PAMT_4K[0x100203000]';
  const frees = onEntry('TDH.MEM.PAGE.RELOCATE', 'BLOCKED(tracked)@L0', /frees/);

  test('RELOCATE of module 1.0.03 releases the tree, the new page and then the old one', () => {
    expect(frees(V1_0_03).slice(3)).toEqual([
      'frees TD0.SEPT_TREE',
      `frees ${NEW}`,
      'frees PAMT_2M[0x100200000]',
      'frees PAMT_1G[0x100000000]',
      OLD,
    ]);
  });

  test('a RELOCATE that lists the old page before the new one releases it so', () => {
    const functions = new Map(V1_0_03.functions);
    const { release, ...rest } = functions.get('TDH.MEM.PAGE.RELOCATE') ?? pageRelocate;
    const others = release.filter((role) => role !== HELD_IMPLICIT);
    const at = others.indexOf(HELD_PAGE);
    const swapped = [...others.slice(0, at), HELD_IMPLICIT, ...others.slice(at)];
    functions.set(rest.name, { ...rest, release: swapped });
    const events = frees({ ...V1_0_03, name: 'altered', functions });
    expect(events.indexOf(OLD)).toBeLessThan(events.indexOf(`frees ${NEW}`));
  });
});
