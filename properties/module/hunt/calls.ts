/**
 * Every operation of a thread of the VMM in a hunt: calls on the tables and pages of a TD, calls of
 * its life cycle, calls with pages that are refused or had another use before; and, with the prefix
 * `b-`, the same calls on the second TD of a platform that has two.
 */
import { HOST_CALLS, SOURCE, type HostCall, type HostOperation } from '../rig/calls.ts';
import type { Layout } from '../rig/layout.ts';
import { LIFE_CYCLE, TEAR_DOWN } from './life-cycle.ts';

const OF_SECOND_TD = 'b-';

/** A call with a GPA, a level, and a page in R8. */
const withPage =
  (name: string, level: number, page: (td: Layout, gfn: number) => number): HostCall =>
  (td, gfn) => [name, { ...td.mapping(gfn, level), r8: td.address(page(td, gfn)), r9: SOURCE }];

/** Calls on 1G entries, and accesses to the memory of a debug TD. */
const FURTHER: ReadonlyMap<string, HostCall> = new Map<string, HostCall>([
  ['write', (td, gfn) => ['TDH.MEM.WR', td.mapping(gfn, 0)]],
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

/** The same call, on the other TD. */
const onOther =
  (call: HostCall): HostCall =>
  (td, i) =>
    call(td.other, i);
/** The call of that name. @throws Error if there is none */
function callOf(name: string): HostCall {
  const call = LIFE_CYCLE.get(name) ?? UNUSUAL_PAGES.get(name);
  if (call === undefined) throw new Error(`no call "${name}"`);
  return call;
}

/** Several calls one after the other. */
const SEQUENCES: ReadonlyMap<string, readonly HostCall[]> = new Map([
  ['tear-down', TEAR_DOWN],
  // a table of the TD becomes one of the other TD, for another GPA
  ['hand-over', [...TEAR_DOWN, callOf('reclaim-table'), onOther(callOf('sept-add-of-other'))]],
]);

const ON_FIRST_TD: ReadonlyMap<string, HostOperation> = new Map<string, HostOperation>([
  ...HOST_CALLS,
  ...LIFE_CYCLE,
  ...SEQUENCES,
  ...FURTHER,
  ...UNUSUAL_PAGES,
]);

/** Every operation, by its name. */
export const HUNT_CALLS: ReadonlyMap<string, HostOperation> = new Map([
  ...ON_FIRST_TD,
  ...[...ON_FIRST_TD].map(([name, operation]): [string, HostOperation] => [
    `${OF_SECOND_TD}${name}`,
    typeof operation === 'function' ? onOther(operation) : operation.map(onOther),
  ]),
]);

/** Names of all operations on the first TD. */
export const FIRST_TD_CALLS: readonly string[] = [...ON_FIRST_TD.keys()];
/** The names on the second TD of operations of the first one. */
export const ofSecondTd = (names: readonly string[]): string[] =>
  names.map((name) => `${OF_SECOND_TD}${name}`);
