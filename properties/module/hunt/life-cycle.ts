/**
 * The life-cycle calls of a TD and its vCPUs, by the names of operations in scenarios: the next
 * calls of a TD that is being built or torn down, calls about another TD, and calls that are
 * refused. The number of an operation selects the vCPU, page or package.
 */
import { NULL_FIELD } from '../../../spec/tdx/metadata.ts';
import type { HostCall } from '../rig/calls.ts';
import { TDR, TDVPRS, type ModuleRig } from '../rig/rig.ts';
import {
  freeHkid,
  freePage,
  lackingVcpu,
  LAST_TDCX,
  missingPage,
  tdParams,
  unfinishedVcpu,
} from './td-stages.ts';

type PageOf = (rig: ModuleRig, i: number) => number;

const tdr: PageOf = () => TDR;
const tdvpr: PageOf = (_w, i) => TDVPRS[i % TDVPRS.length] ?? TDVPRS[0];

/** A call with a page in RCX, and perhaps another one in RDX. */
const on =
  (name: string, rcx: PageOf, rdx?: PageOf): HostCall =>
  (rig, i) => [
    name,
    {
      rcx: rig.address(rcx(rig, i)),
      ...(rdx === undefined ? {} : { rdx: rig.address(rdx(rig, i)) }),
    },
  ];
/** A call on the LP of the vCPU of that number. There is one LP for each vCPU and package. */
const onLp =
  (call: HostCall): HostCall =>
  (rig, i) => {
    const [name, operands] = call(rig, i);
    return [name, { ...operands, lp: i % TDVPRS.length }];
  };

const field =
  (id: bigint, version = 0): HostCall =>
  (rig) => ['TDH.MNG.RD', { rcx: rig.address(TDR), field: id, version }];

/** Calls about a TD that is being built. */
const BUILDING: readonly (readonly [string, HostCall])[] = [
  ['key-config', onLp(on('TDH.MNG.KEY.CONFIG', tdr))],
  ['addcx', on('TDH.MNG.ADDCX', () => LAST_TDCX, tdr)],
  ['addcx-more', on('TDH.MNG.ADDCX', freePage, tdr)],
  ['init', (rig) => ['TDH.MNG.INIT', { rcx: rig.address(TDR), ...tdParams() }]],
  ['vp-create', on('TDH.VP.CREATE', freePage, tdr)],
  ['vp-addcx', on('TDH.VP.ADDCX', missingPage, lackingVcpu)],
  ['vp-addcx-free', on('TDH.VP.ADDCX', freePage, unfinishedVcpu)],
  ['vp-init', on('TDH.VP.INIT', unfinishedVcpu)],
];

/** Calls about a TD in teardown. `enter`: on another LP than before. */
const ENDING: readonly (readonly [string, HostCall])[] = [
  ['flush', onLp(on('TDH.VP.FLUSH', tdvpr))],
  ['enter', on('TDH.VP.ENTER', tdvpr)],
  ['flush-elsewhere', on('TDH.VP.FLUSH', tdvpr)],
  ['vpflushdone', on('TDH.MNG.VPFLUSHDONE', tdr)],
  ['cache-wb', onLp(() => ['TDH.PHYMEM.CACHE.WB', { rcx: 0 }])],
  ['cache-wb-resume', onLp(() => ['TDH.PHYMEM.CACHE.WB', { rcx: 1 }])],
  ['reclaimid', on('TDH.MNG.KEY.RECLAIMID', tdr)],
  ['freeid', on('TDH.MNG.KEY.FREEID', tdr)],
  ['reclaim', on('TDH.PHYMEM.PAGE.RECLAIM', (rig, i) => rig.pageOf(i))],
  ['reclaim-table', on('TDH.PHYMEM.PAGE.RECLAIM', (rig, i) => rig.tablePage(i, 1))],
  ['reclaim-tdcx', on('TDH.PHYMEM.PAGE.RECLAIM', () => LAST_TDCX)],
  ['reclaim-tdvpr', on('TDH.PHYMEM.PAGE.RECLAIM', tdvpr)],
  ['reclaim-tdr', on('TDH.PHYMEM.PAGE.RECLAIM', tdr)],
  ['wbinvd', on('TDH.PHYMEM.PAGE.WBINVD', freePage)],
  ['wbinvd-page', on('TDH.PHYMEM.PAGE.WBINVD', (rig, i) => rig.pageOf(i))],
];

/** Calls about another TD, whose TDR is a free page, or a reclaimed page of the first TD. */
const ANOTHER: readonly (readonly [string, HostCall])[] = [
  [
    'create',
    (rig, i) => ['TDH.MNG.CREATE', { rcx: rig.address(freePage(rig, i)), rdx: freeHkid(rig) }],
  ],
  [
    'create-same-key',
    (rig, i) => ['TDH.MNG.CREATE', { rcx: rig.address(freePage(rig, i)), rdx: freeHkid(rig) - 1 }],
  ],
  ['create-reclaimed', (rig) => ['TDH.MNG.CREATE', { rcx: rig.address(TDR), rdx: freeHkid(rig) }]],
  [
    'create-of-page',
    (rig, i) => ['TDH.MNG.CREATE', { rcx: rig.address(rig.pageOf(i)), rdx: freeHkid(rig) }],
  ],
  ['key-config-other', onLp(on('TDH.MNG.KEY.CONFIG', freePage))],
  ['vpflushdone-other', on('TDH.MNG.VPFLUSHDONE', freePage)],
  ['freeid-other', on('TDH.MNG.KEY.FREEID', freePage)],
  ['reclaim-other', on('TDH.PHYMEM.PAGE.RECLAIM', freePage)],
];

/** Calls that change nothing. The ids of fields are those of spec/tdx/metadata.ts. */
const LOOKING: readonly (readonly [string, HostCall])[] = [
  ['rdmd', on('TDH.PHYMEM.PAGE.RDMD', (rig, i) => rig.pageOf(i))],
  ['rdmd-free', on('TDH.PHYMEM.PAGE.RDMD', freePage)],
  ['rd-children', field(0x8010_0003_0000_0004n)],
  ['rd-vcpus', field(0x9010_0002_0000_0001n)],
  ['rd-associated', field(0x9010_0002_0000_0002n)],
  ['rd-epoch', field(0x9210_0003_0000_0000n)],
  ['rd-next', field(NULL_FIELD, 1)],
];

const names = (rows: readonly (readonly [string, HostCall])[]): string[] =>
  rows.map(([name]) => name);

export const LIFE_CYCLE: ReadonlyMap<string, HostCall> = new Map([
  ...BUILDING,
  ...ENDING,
  ...ANOTHER,
  ...LOOKING,
]);
export const BUILD_CALLS = names(BUILDING);
export const END_CALLS = names(ENDING);
export const OTHER_CALLS = names(ANOTHER);
export const LOOK_CALLS = names(LOOKING);
