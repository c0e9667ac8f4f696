/**
 * The scenarios of a hunt, by the stage in which they begin: calls on the tables and pages of a
 * tiny TD, and calls of its life cycle; with pages that another call has just freed, and with
 * operands that are refused.
 */
import type { VersionData } from '../../../spec/tdx/version.ts';
import type { Shape } from '../../checker/scenarios/arbitrary.ts';
import { IDLE, LEAVE, TOUCH } from '../rig/calls.ts';
import type { Beginning } from './beginnings.ts';
import { FIRST_TD_CALLS, ofSecondTd } from './calls.ts';
import { BUILD_CALLS, END_CALLS, LOOK_CALLS, OTHER_CALLS } from './life-cycle.ts';
import { PLACES } from './measuring-choices.ts';

const GUEST = ['accept', 'accept', 'accept-huge', TOUCH, IDLE, LEAVE];

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
  maxStep: PLACES,
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
    [...FIRST_TD_CALLS, 'aug', 'aug', 'block', 'track', 'remove'],
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

/** Accesses to the memory of a debug TD. */
const READ_WRITE = ['read', 'write'];
const LARGE = ['block-huge', 'demote', 'promote', 'remove-huge', 'unblock-huge'];
const GIGA = ['block-giga', 'demote-giga', 'promote-giga', 'remove-giga', 'unblock-giga'];
const SMALL = ['block', 'unblock', 'remove', 'relocate', 'aug', 'aug-other'];

/** Scenarios of a debug TD with a page of each size, whose memory VMM and guest use. */
const DEBUG_SHAPES: readonly Shape[] = [
  shape(['host', 'host', 'vcpu'], ['split', 'merge', 'read-large', 'write-large', 'sept-rd'], 3, 2),
  shape(['host', 'host'], ['split-giga', 'merge-giga', 'split', 'read', 'write', 'rd-children'], 8),
  shape(['host', 'vcpu'], ['write', 'read', 'write', 'block'], 1, 2),
  shape(['host', 'host'], [...READ_WRITE, ...SMALL, 'track', 'add', 'extend', 'rdmd'], 2, 3),
  shape(['host', 'host'], [...READ_WRITE, ...LARGE, 'track', 'sept-rd', 'remove'], 4, 3),
  shape(['host', 'host', 'vcpu'], [...READ_WRITE, ...READ_WRITE, ...GIGA, ...LARGE, 'track'], 8),
  shape(['host', 'vcpu', 'host'], [...READ_WRITE, ...SMALL, ...LARGE, 'track', 'rdmd'], 4),
];

/** Scenarios of a running TD with pages that the guest has not accepted, or only half. */
const PENDING_SHAPES: readonly Shape[] = [
  shape(['host', 'host', 'vcpu'], ['block', 'block-huge', 'track', 'rdmd'], 1, 2),
  shape(['host', 'vcpu', 'vcpu'], ['block-huge', 'unblock-huge', 'track', 'demote', 'remove'], 3),
  shape(['host', 'vcpu', 'host'], ['block', 'block-huge', 'track', 'rdmd', 'sept-rd', 'remove'], 3),
  shape(['host', 'host', 'vcpu'], [...SMALL, ...LARGE, 'track', 'rdmd', 'rdmd', 'sept-rd'], 4),
];

/** Calls by which a page, or a table, leaves a TD, and comes to another one. */
const MOVING = ['aug', 'remove', 'block', 'track', 'aug-table-of-other', 'sept-add-of-other'];
const USING = ['read', 'write', 'sept-rd', 'relocate', 'reclaim'];
const ENDING = ['vpflushdone', 'freeid', 'reclaim-table', 'reclaim-tdcx', 'reclaim-tdr'];
/** What becomes of a table that the first TD has lost. */
const REUSING = ['b-sept-add-of-other', 'b-aug-table-of-other', 'b-aug', 'b-read'];

/** Scenarios of two TDs. */
const TWO_TD_SHAPES: readonly Shape[] = [
  shape(['host', 'host', 'vcpu'], [...MOVING, ...ofSecondTd(MOVING), 'aug-table', ...USING], 2),
  shape(
    ['host', 'host', 'host'],
    [...ENDING, ...ofSecondTd(ENDING), 'flush', 'flush', 'cache-wb', 'cache-wb', 'create-of-page'],
    2,
  ),
  shape(
    ['host', 'vcpu', 'host'],
    [...ENDING, ...USING, ...ofSecondTd([...MOVING, ...USING]), 'create-reclaimed', 'rdmd'],
    2,
  ),
];

/** Scenarios of a table that one TD loses and another one gets. */
const TABLE_SHAPES: readonly Shape[] = [
  shape(['host', 'host'], ['hand-over', 'read', 'write', 'aug', 'sept-rd', 'b-aug'], 1, 2),
  shape(['host', 'host', 'vcpu'], ['tear-down', 'reclaim-table', ...USING, ...REUSING], 2),
  shape(['host', 'host'], ['start-over', ...USING, 'track', 'block', 'aug'], 1, 2),
];
/** Scenarios of pages that one TD removes and another one gets. */
const GIVEN_PAGE_SHAPES: readonly Shape[] = [
  shape(['host', 'host'], ['give', 'read', 'write', 'sept-rd', 'relocate', 'rdmd'], 1, 2),
  shape(['host', 'host'], ['give-large', 'read-large', 'write-large', 'demote', 'rdmd'], 1, 2),
  shape(['host', 'host', 'vcpu'], ['give', 'give-large', ...USING, ...ofSecondTd(USING)], 3, 2),
];
const MERGED_TABLE_SHAPES: readonly Shape[] = [
  shape(['host', 'host'], ['promote', 'aug', 'remove', 'b-sept-add-of-other'], 1, 3),
  shape(['host', 'host', 'vcpu'], ['promote', 'promote', 'read', 'remove', ...REUSING], 2, 3),
];

const ADDED_PAGE_SHAPES: readonly Shape[] = [
  shape(['host', 'host'], ['give-large-to-build', 'read-large', 'write-large', 'b-write'], 1, 2),
  shape(
    ['host', 'host', 'host'],
    ['give-large-to-build', 'give', ...USING, ...ofSecondTd(['add', 'extend', 'finalize', 'aug'])],
    3,
  ),
];

/** Scenarios of pages that come and go with the PAMT pages of their range. */
const PAMT_CALLS = ['pamt-add', 'pamt-remove', 'pamt-remove'];
const PAMT_SHAPES: readonly Shape[] = [
  shape(['host', 'host'], [...PAMT_CALLS, 'aug', 'remove', 'relocate', 'rdmd'], 1, 3),
  shape(['host', 'host'], [...PAMT_CALLS, ...LARGE, 'aug-huge', 'aug', 'track'], 3),
  shape(['host', 'host', 'vcpu'], [...PAMT_CALLS, ...SMALL, 'track', 'reclaim', 'add'], 2),
];

/** The shapes of scenarios, and the states in which they begin. */
interface Plan {
  readonly beginnings: readonly Beginning[];
  readonly shapes: readonly Shape[];
}

const PLANS: readonly Plan[] = [
  { beginnings: ['RUNNABLE', 'INITIALIZED'], shapes: MEMORY_SHAPES },
  { beginnings: ['HKID_ASSIGNED', 'UNINITIALIZED', 'INITIALIZED'], shapes: BUILD_SHAPES },
  { beginnings: ['RUNNABLE', 'BLOCKED', 'TEARDOWN'], shapes: END_SHAPES },
  { beginnings: ['RUNNABLE-debug', 'INITIALIZED-debug'], shapes: DEBUG_SHAPES },
  { beginnings: ['RUNNABLE-pending'], shapes: PENDING_SHAPES },
  {
    beginnings: ['RUNNABLE-and-RUNNABLE', 'INITIALIZED-and-RUNNABLE', 'TEARDOWN-and-RUNNABLE'],
    shapes: TWO_TD_SHAPES,
  },
  { beginnings: ['RUNNABLE-and-RUNNABLE'], shapes: TABLE_SHAPES },
  { beginnings: ['RUNNABLE-and-RUNNABLE'], shapes: GIVEN_PAGE_SHAPES },
  { beginnings: ['RUNNABLE-and-INITIALIZED'], shapes: ADDED_PAGE_SHAPES },
  { beginnings: ['INITIALIZED-and-RUNNABLE'], shapes: MERGED_TABLE_SHAPES },
];
const PAMT_PLAN: Plan = {
  beginnings: ['RUNNABLE', 'INITIALIZED', 'RUNNABLE-pending', 'TEARDOWN'],
  shapes: PAMT_SHAPES,
};

/** What a hunt of that module draws. */
export const plansOf = ({ dynamicPamt }: VersionData): readonly Plan[] =>
  dynamicPamt ? [...PLANS, PAMT_PLAN] : PLANS;
