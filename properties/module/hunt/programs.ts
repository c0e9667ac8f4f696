/**
 * What a hunt tries, and where: calls on the tables and pages of a tiny TD, and those of its life
 * cycle; with pages that somebody else has just freed, and with operands that are refused.
 */
import type { Shape } from '../../checker/scenarios/arbitrary.ts';
import { HOST_CALLS, IDLE, LEAVE, type HostCall } from '../rig/calls.ts';
import { TDR } from '../rig/rig.ts';
import type { Beginning } from './beginnings.ts';
import { BUILD_CALLS, END_CALLS, LIFE_CYCLE, LOOK_CALLS, OTHER_CALLS } from './life-cycle.ts';

/** Pages that are refused, or that were something else before. */
const ODD: ReadonlyMap<string, HostCall> = new Map<string, HostCall>([
  ['aug-tdr', (rig, gfn) => ['TDH.MEM.PAGE.AUG', { ...rig.mapping(gfn, 0), r8: rig.address(TDR) }]],
  [
    'aug-table',
    (rig, gfn) => [
      'TDH.MEM.PAGE.AUG',
      { ...rig.mapping(gfn, 0), r8: rig.address(rig.tablePage(gfn, 1)) },
    ],
  ],
  [
    'sept-add-page',
    (rig, gfn) => [
      'TDH.MEM.SEPT.ADD',
      { ...rig.mapping(gfn, 1), r8: rig.address(rig.pageOf(gfn)) },
    ],
  ],
  [
    'aug-nowhere',
    (rig, gfn) => [
      'TDH.MEM.PAGE.AUG',
      { ...rig.mapping(gfn, 0), r8: rig.address(rig.pageOf(gfn)) + 1 },
    ],
  ],
  ['write', (rig, gfn) => ['TDH.MEM.WR', rig.mapping(gfn, 0)]],
]);

/** Every operation of a thread of the VMM. */
export const HUNT_CALLS: ReadonlyMap<string, HostCall> = new Map([
  ...HOST_CALLS,
  ...LIFE_CYCLE,
  ...ODD,
]);

const GUEST = ['accept', 'accept', 'accept-huge', 'touch', IDLE, LEAVE];

/** A few operations that meet, by a few actors: races need the right two calls at the right step. */
const shape = (
  roles: Shape['roles'],
  host: readonly string[],
  gfns: number,
  maxOperations = 4,
): Shape => ({
  vm: 'td',
  roles,
  operations: { host, vcpu: GUEST },
  maxOperations,
  gfns,
  maxDeviations: 3,
  maxStep: 28,
});

/** Each is drawn as often as the others; the last one may do anything. */
const MEMORY_SHAPES: readonly Shape[] = [
  shape(['host', 'host'], ['aug', 'aug', 'remove', 'relocate'], 1, 2),
  shape(['host', 'vcpu'], ['aug', 'aug', 'aug-huge', 'block', 'track'], 1, 2),
  shape(
    ['host', 'host'],
    ['aug', 'aug', 'remove', 'relocate', 'block', 'track', 'add', 'sept-rd', 'reclaim', 'rdmd'],
    1,
  ),
  shape(
    ['host', 'host'],
    ['aug-huge', 'aug-huge', 'demote', 'remove-huge', 'block-huge', 'track', 'sept-add'],
    3,
  ),
  shape(['host', 'host'], ['aug-huge', 'aug-huge', 'demote', 'relocate'], 3, 3),
  shape(['host', 'host'], ['aug', 'aug', 'aug', 'promote', 'remove'], 2),
  shape(['host', 'host'], ['aug', 'aug', 'promote', 'remove', 'sept-add-other'], 3),
  shape(
    ['host', 'host', 'host'],
    ['aug', 'aug', 'promote', 'promote', 'remove', 'sept-add-other', 'block-huge'],
    3,
    5,
  ),
  shape(
    ['host', 'vcpu'],
    ['aug', 'aug-huge', 'block', 'block-huge', 'track', 'remove', 'unblock', 'relocate'],
    2,
  ),
  shape(['host', 'vcpu'], ['aug', 'track', 'track', 'block', 'remove'], 1, 3),
  shape(
    ['host', 'host', 'vcpu'],
    ['sept-remove', 'sept-add', 'block-huge', 'track', 'aug', 'aug-table', 'sept-add-page'],
    2,
  ),
  shape(
    ['host', 'vcpu', 'host'],
    [...HUNT_CALLS.keys(), 'aug', 'aug', 'block', 'track', 'remove'],
    3,
    5,
  ),
];

/** A TD that is being built: keys, TDCS, vCPUs, its first pages. */
const BUILD_SHAPES: readonly Shape[] = [
  shape(['host', 'host'], BUILD_CALLS, 2),
  shape(
    ['host', 'host', 'host'],
    ['vp-init', 'vp-init', 'vp-addcx', 'rd-vcpus', 'rd-associated', 'finalize'],
    3,
    3,
  ),
  shape(
    ['host', 'host'],
    ['aug', 'sept-add', 'remove', 'rd-children', 'sept-rd', 'rdmd', 'extend', 'add'],
    1,
    3,
  ),
  shape(
    ['host', 'host', 'host'],
    [...BUILD_CALLS, ...OTHER_CALLS, ...LOOK_CALLS, 'vpflushdone'],
    2,
  ),
];

/**
 * A TD that comes to its end: vCPUs, caches, keys, pages; and another one that is made of what is
 * left.
 */
const END_SHAPES: readonly Shape[] = [
  shape(['host', 'host'], END_CALLS, 2),
  shape(
    ['host', 'host', 'host'],
    [...OTHER_CALLS, 'vpflushdone', 'freeid', 'cache-wb', 'reclaim-tdr', ...OTHER_CALLS],
    1,
  ),
  shape(
    ['host', 'host', 'vcpu'],
    ['enter', 'enter', 'flush', 'flush', 'vpflushdone', 'track', 'rd-associated', 'aug'],
    1,
  ),
  shape(['host', 'host'], ['aug', 'block', 'track', 'remove', 'rd-children', 'sept-rd'], 1, 3),
  shape(['host', 'host', 'host'], [...END_CALLS, ...OTHER_CALLS, ...LOOK_CALLS], 2),
];

/** Which histories begin where. */
export interface Ground {
  readonly beginnings: readonly Beginning[];
  readonly shapes: readonly Shape[];
}

export const GROUNDS: readonly Ground[] = [
  { beginnings: ['RUNNABLE', 'INITIALIZED'], shapes: MEMORY_SHAPES },
  { beginnings: ['HKID_ASSIGNED', 'UNINITIALIZED', 'INITIALIZED'], shapes: BUILD_SHAPES },
  { beginnings: ['RUNNABLE', 'BLOCKED', 'TEARDOWN'], shapes: END_SHAPES },
];
