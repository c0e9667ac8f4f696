/**
 * What a hunt tries: calls on the tables and pages of a tiny TD, while it is built or runs, and of its life cycle; with
 * pages that somebody else has just freed, and with operands that are refused.
 */
import { TDR, TDVPRS, type ModuleWorld } from '../module/world.ts';
import { HOST_CALLS, IDLE, LEAVE, type HostCall } from '../module/calls.ts';
import type { Shape } from '../histories/arbitrary.ts';

/** A call with the TDR in RCX. */
const onTd = (name: string): HostCall => (w) => [name, { rcx: w.address(TDR) }];
/** A call with the TDVPR of the first VCPU in RCX, and the TDR in RDX. */
const onVcpu = (name: string): HostCall => (w) => [name, { rcx: w.address(TDVPRS[0]), rdx: w.address(TDR) }];
const onPage = (name: string, page: (w: ModuleWorld, gfn: number) => number): HostCall =>
  (w, gfn) => [name, { rcx: w.address(page(w, gfn)) }];

const LIFE_CYCLE: ReadonlyMap<string, HostCall> = new Map<string, HostCall>([
  ['flush', onVcpu('TDH.VP.FLUSH')],
  ['vpflushdone', onTd('TDH.MNG.VPFLUSHDONE')],
  ['cache-wb', () => ['TDH.PHYMEM.CACHE.WB', { rcx: 0 }]],
  ['freeid', onTd('TDH.MNG.KEY.FREEID')],
  ['reclaim', onPage('TDH.PHYMEM.PAGE.RECLAIM', (w, gfn) => w.pageOf(gfn))],
  ['reclaim-table', onPage('TDH.PHYMEM.PAGE.RECLAIM', (w, gfn) => w.tablePage(gfn, 1))],
  ['rdmd', onPage('TDH.PHYMEM.PAGE.RDMD', (w, gfn) => w.pageOf(gfn))],
  ['vp-create', (w) => ['TDH.VP.CREATE', { rcx: w.address(w.sparePage(0)), rdx: w.address(TDR) }]],
]);

/** Pages that are refused, or that were something else before. */
const ODD: ReadonlyMap<string, HostCall> = new Map<string, HostCall>([
  ['aug-tdr', (w, gfn) => ['TDH.MEM.PAGE.AUG', { ...w.mapping(gfn, 0), r8: w.address(TDR) }]],
  ['aug-table', (w, gfn) => ['TDH.MEM.PAGE.AUG', { ...w.mapping(gfn, 0), r8: w.address(w.tablePage(gfn, 1)) }]],
  ['sept-add-page', (w, gfn) => ['TDH.MEM.SEPT.ADD', { ...w.mapping(gfn, 1), r8: w.address(w.pageOf(gfn)) }]],
  ['aug-nowhere', (w, gfn) => ['TDH.MEM.PAGE.AUG', { ...w.mapping(gfn, 0), r8: w.address(w.pageOf(gfn)) + 1 }]],
]);

/** Every operation of a thread of the VMM. */
export const HUNT_CALLS: ReadonlyMap<string, HostCall> = new Map([...HOST_CALLS, ...LIFE_CYCLE, ...ODD]);

const GUEST = ['accept', 'accept', 'accept-huge', 'touch', IDLE, LEAVE];

/** A few operations that meet, by a few actors: races need the right two calls at the right step. */
const shape = (roles: Shape['roles'], host: readonly string[], gfns: number, maxOperations = 4): Shape => ({
  vm: 'td', roles, operations: { host, vcpu: GUEST }, maxOperations, gfns, maxDeviations: 3, maxStep: 28,
});

/** Each is drawn as often as the others; the last one may do anything. */
export const HUNT_SHAPES: readonly Shape[] = [
  shape(['host', 'host'], ['aug', 'aug', 'remove', 'relocate', 'block', 'track', 'add', 'sept-rd', 'reclaim', 'rdmd'], 1),
  shape(['host', 'host'], ['aug-huge', 'aug-huge', 'demote', 'remove-huge', 'block-huge', 'track', 'sept-add'], 3),
  shape(['host', 'host'], ['aug-huge', 'aug-huge', 'demote', 'relocate'], 3, 3),
  shape(['host', 'host'], ['aug', 'aug', 'aug', 'promote', 'remove'], 2),
  shape(['host', 'host'], ['aug', 'aug', 'promote', 'remove', 'sept-add-other'], 3),
  shape(['host', 'host', 'host'], ['aug', 'aug', 'promote', 'promote', 'remove', 'sept-add-other', 'block-huge'], 3, 5),
  shape(['host', 'vcpu'], ['aug', 'aug-huge', 'block', 'block-huge', 'track', 'remove', 'unblock', 'relocate'], 2),
  shape(['host', 'vcpu'], ['aug', 'track', 'track', 'block', 'remove'], 1, 3),
  shape(['host', 'host', 'vcpu'], ['sept-remove', 'sept-add', 'block-huge', 'track', 'aug', 'aug-table', 'sept-add-page'], 2),
  shape(['host', 'host', 'vcpu'], [...LIFE_CYCLE.keys(), 'flush', 'vpflushdone', 'finalize', 'aug'], 1),
  shape(['host', 'vcpu', 'host'], [...HUNT_CALLS.keys(), 'aug', 'aug', 'block', 'track', 'remove'], 3, 5),
];
