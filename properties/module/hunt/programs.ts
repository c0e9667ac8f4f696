/**
 * The scenarios of a hunt, by the stage in which they begin: calls on the tables and pages of a
 * tiny TD, and calls of its life cycle; with pages that another call has just freed, and with
 * operands that are refused.
 */
import type { Shape } from '../../checker/scenarios/arbitrary.ts';
import { HOST_CALLS, IDLE, LEAVE, type HostCall } from '../rig/calls.ts';
import { TDR } from '../rig/rig.ts';
import { BUILD_CALLS, END_CALLS, LIFE_CYCLE, LOOK_CALLS, OTHER_CALLS } from './life-cycle.ts';
import type { TdStage } from './td-stages.ts';

/** Calls with pages that are refused, or had another use before. */
const UNUSUAL_PAGES: ReadonlyMap<string, HostCall> = new Map<string, HostCall>([
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
  ...UNUSUAL_PAGES,
]);

const GUEST = ['accept', 'accept', 'accept-huge', 'touch', IDLE, LEAVE];

/** A few operations by a few actors: a race needs two certain calls at a certain step. */
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

/** Each shape is equally likely. The last one has all operations. */
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

/** Scenarios of a TD that is being built: keys, TDCS, vCPUs, its first pages. */
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

/** Scenarios of a TD in teardown: vCPUs, caches, keys, pages; and another TD of freed pages. */
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

/** The shapes of scenarios, and the stages in which they begin. */
interface Plan {
  readonly stages: readonly TdStage[];
  readonly shapes: readonly Shape[];
}

export const PLANS: readonly Plan[] = [
  { stages: ['RUNNABLE', 'INITIALIZED'], shapes: MEMORY_SHAPES },
  { stages: ['HKID_ASSIGNED', 'UNINITIALIZED', 'INITIALIZED'], shapes: BUILD_SHAPES },
  { stages: ['RUNNABLE', 'BLOCKED', 'TEARDOWN'], shapes: END_SHAPES },
];
