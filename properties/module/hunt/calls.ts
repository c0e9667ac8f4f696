/**
 * Every operation of a thread of the VMM in a hunt: calls on the tables and pages of a TD, calls of
 * its life cycle, calls with pages that are refused or had another use before; and, with the prefix
 * `b-`, the same calls on the second TD of a platform that has two.
 */
import { SIZES } from '../../../spec/tdx/pamt.ts';
import type { VersionData } from '../../../spec/tdx/version.ts';
import {
  HOST_CALLS,
  PAMT_CALLS,
  SOURCE,
  type HostCall,
  type HostOperation,
  type Made,
} from '../rig/calls.ts';
import type { Layout } from '../rig/layout.ts';
import { LIFE_CYCLE, tearDown } from './life-cycle.ts';

const OF_SECOND_TD = 'b-';

/** A call with a GPA, a level, and a page in R8. */
const withPage =
  (name: string, level: number, page: (td: Layout, gfn: number) => number): HostCall =>
  (td, gfn) => [name, { ...td.mapping(gfn, level), r8: td.address(page(td, gfn)), r9: SOURCE }];

/** The 2M page of a TD that begins with pages of several sizes; see beginnings.ts. */
const LARGE_GFN = 2;

/** Calls on 1G entries, and accesses to the memory of a debug TD. */
const FURTHER: ReadonlyMap<string, HostCall> = new Map<string, HostCall>([
  ['write', (td, gfn) => ['TDH.MEM.WR', td.mapping(gfn, 0)]],
  ['read-large', (td, gfn) => ['TDH.MEM.RD', td.mapping(gfn | LARGE_GFN, 0)]],
  ['write-large', (td, gfn) => ['TDH.MEM.WR', td.mapping(gfn | LARGE_GFN, 0)]],
  ['block-giga', (td, gfn) => ['TDH.MEM.RANGE.BLOCK', td.mapping(gfn, 2)]],
  ['unblock-giga', (td, gfn) => ['TDH.MEM.RANGE.UNBLOCK', td.mapping(gfn, 2)]],
  ['remove-giga', (td, gfn) => ['TDH.MEM.PAGE.REMOVE', td.mapping(gfn, 2)]],
  ['promote-giga', (td, gfn) => ['TDH.MEM.PAGE.PROMOTE', td.mapping(gfn, 2)]],
  ['demote-giga', withPage('TDH.MEM.PAGE.DEMOTE', 2, (td, gfn) => td.tablePage(gfn, 2))],
]);

/** Calls with pages that are refused, or had another use before. */
const UNUSUAL_PAGES: ReadonlyMap<string, HostCall> = new Map<string, HostCall>([
  ['aug-tdr', withPage('TDH.MEM.PAGE.AUG', 0, (td) => td.tdr)],
  ['aug-table', withPage('TDH.MEM.PAGE.AUG', 0, (td, gfn) => td.tablePage(gfn, 1))],
  ['aug-table-of-other', withPage('TDH.MEM.PAGE.AUG', 0, (td, gfn) => td.other.tablePage(gfn, 1))],
  ['sept-add-page', withPage('TDH.MEM.SEPT.ADD', 1, (td, gfn) => td.pageOf(gfn))],
  [
    'sept-add-of-other',
    (td, gfn) => [
      'TDH.MEM.SEPT.ADD',
      { ...td.mapping(gfn ^ 2, 1), r8: td.address(td.other.tablePage(gfn, 1)) },
    ],
  ],
  [
    'aug-nowhere',
    (td, gfn) => [
      'TDH.MEM.PAGE.AUG',
      { ...td.mapping(gfn, 0), r8: td.address(td.pageOf(gfn)) + 1 },
    ],
  ],
]);

const SINGLE: ReadonlyMap<string, HostCall> = new Map([
  ...HOST_CALLS,
  ...LIFE_CYCLE,
  ...FURTHER,
  ...UNUSUAL_PAGES,
]);

/** The single call of that name, on the first TD. @throws Error if there is none */
export function callOf(name: string): HostCall {
  const call = SINGLE.get(name);
  if (call === undefined) throw new Error(`no call "${name}"`);
  return call;
}

/** The calls of those names one after the other, the last one on the other TD. */
const movedBy = (...names: readonly string[]): ((td: Layout, i: number) => Made[]) => {
  const calls = names.map(callOf);
  return (td, i) => calls.map((call, at) => call(at === calls.length - 1 ? td.other : td, i));
};

/** Reclaims every page of the TD, the TDR last. */
const reclaimAll = (td: Layout): Made[] => {
  const pages: number[] = [];
  for (const size of SIZES.keys()) {
    td.tdx.pamt.forEachAssigned(size, (page, _type, owner) => {
      if (owner === td.tdr) pages.push(page);
    });
  }
  return [...pages, td.tdr].map((page) => ['TDH.PHYMEM.PAGE.RECLAIM', { rcx: td.address(page) }]);
};

/** The calls of those names one after the other. */
const sequenceOf = (...names: readonly string[]): ((td: Layout, i: number) => Made[]) => {
  const calls = names.map(callOf);
  return (td, i) => calls.map((call) => call(td, i));
};
const giveHuge = movedBy('block-huge', 'track', 'remove-huge', 'aug-huge');
const addHuge = movedBy('block-huge', 'track', 'remove-huge', 'add');
const giveTable = movedBy('reclaim-table', 'sept-add-of-other');

/** Several calls one after the other: a TD ends, a page leaves it, a table is merged or split. */
const SEQUENCES: ReadonlyMap<string, HostOperation> = new Map<string, HostOperation>([
  ['tear-down', tearDown],
  [
    'start-over',
    (td, i) => [...tearDown(td), ...reclaimAll(td), callOf('create-reclaimed')(td, i)],
  ],
  // a table of the TD becomes one of the other TD, for another GPA
  ['hand-over', (td, i) => [...tearDown(td), ...giveTable(td, i)]],
  // as a TD that can run requires, and module 1.0 always
  ['merge', sequenceOf('block-huge', 'track', 'promote')],
  ['split', sequenceOf('block-huge', 'track', 'demote')],
  ['merge-giga', sequenceOf('block-giga', 'track', 'promote-giga')],
  ['split-giga', sequenceOf('block-giga', 'track', 'demote-giga')],
  // a page of the TD becomes one of the other TD
  ['give', movedBy('block', 'track', 'remove', 'aug')],
  ['give-large', (td, i) => giveHuge(td, i | LARGE_GFN)],
  ['give-large-to-build', (td, i) => addHuge(td, i | LARGE_GFN)],
]);

const ON_FIRST_TD: ReadonlyMap<string, HostOperation> = new Map<string, HostOperation>([
  ...SINGLE,
  ...SEQUENCES,
]);

/** Every operation that all modules have, by its name. */
const HUNT_CALLS: ReadonlyMap<string, HostOperation> = new Map([
  ...ON_FIRST_TD,
  ...[...ON_FIRST_TD].map(([name, operation]): [string, HostOperation] => [
    `${OF_SECOND_TD}${name}`,
    (td, i) => operation(td.other, i),
  ]),
]);

const WITH_PAMT: ReadonlyMap<string, HostOperation> = new Map([...HUNT_CALLS, ...PAMT_CALLS]);
/** Every operation of that module. */
export const huntCalls = ({ dynamicPamt }: VersionData): ReadonlyMap<string, HostOperation> =>
  dynamicPamt ? WITH_PAMT : HUNT_CALLS;

/** Names of all operations on the first TD. */
export const FIRST_TD_CALLS: readonly string[] = [...ON_FIRST_TD.keys()];
/** The names on the second TD of operations of the first one. */
export const ofSecondTd = (names: readonly string[]): string[] =>
  names.map((name) => `${OF_SECOND_TD}${name}`);
