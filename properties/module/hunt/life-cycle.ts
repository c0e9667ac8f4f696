/**
 * The life-cycle calls of a TD and its vCPUs, by the names of operations in scenarios: the next
 * calls of a TD that is being built or torn down, calls about another TD, and calls that are
 * refused. The number of an operation selects the vCPU, page or package.
 */
import { NULL_FIELD } from '../../../spec/tdx/metadata.ts';
import type { HostCall, Made } from '../rig/calls.ts';
import type { Layout } from '../rig/layout.ts';
import { TDVPRS } from '../rig/rig.ts';
import {
  FREE_HKID,
  freePage,
  lackingVcpu,
  lastTdcx,
  missingPage,
  tdParams,
  unfinishedVcpu,
} from './td-stages.ts';

type PageOf = (td: Layout, i: number) => number;

const tdr: PageOf = (td) => td.tdr;
const tdvpr: PageOf = (_w, i) => TDVPRS[i % TDVPRS.length] ?? TDVPRS[0];

/** A call with a page in RCX, and perhaps another one in RDX. */
const on =
  (name: string, rcx: PageOf, rdx?: PageOf): HostCall =>
  (td, i) => [
    name,
    {
      rcx: td.address(rcx(td, i)),
      ...(rdx === undefined ? {} : { rdx: td.address(rdx(td, i)) }),
    },
  ];
/** A call on the LP of the vCPU of that number. There is one LP for each vCPU and package. */
const onLp =
  (call: HostCall): HostCall =>
  (td, i) => {
    const [name, operands] = call(td, i);
    return [name, { ...operands, lp: i % TDVPRS.length }];
  };

const flush = on('TDH.VP.FLUSH', tdvpr);
const vpflushdone = on('TDH.MNG.VPFLUSHDONE', tdr);
const cacheWb: HostCall = () => ['TDH.PHYMEM.CACHE.WB', { rcx: 0 }];
const freeid = on('TDH.MNG.KEY.FREEID', tdr);
/** The family of modules whose field ids have no element sizes. */
const PLAIN_IDS = '1.0';
/** A read of a field, by its id and, if that is another one, its id in 1.0. */
const field =
  (id: bigint, plainId = id, version = 0): HostCall =>
  (td) => [
    'TDH.MNG.RD',
    {
      rcx: td.address(td.tdr),
      field: td.tdx.version.family === PLAIN_IDS ? plainId : id,
      version,
    },
  ];

/** Calls about a TD that is being built. */
const BUILDING: readonly (readonly [string, HostCall])[] = [
  ['key-config', onLp(on('TDH.MNG.KEY.CONFIG', tdr))],
  ['addcx', on('TDH.MNG.ADDCX', lastTdcx, tdr)],
  ['addcx-more', on('TDH.MNG.ADDCX', freePage, tdr)],
  ['init', (td) => ['TDH.MNG.INIT', { rcx: td.address(td.tdr), ...tdParams(false) }]],
  ['vp-create', on('TDH.VP.CREATE', freePage, tdr)],
  ['vp-addcx', on('TDH.VP.ADDCX', missingPage, lackingVcpu)],
  ['vp-addcx-free', on('TDH.VP.ADDCX', freePage, unfinishedVcpu)],
  ['vp-init', on('TDH.VP.INIT', unfinishedVcpu)],
];

/** Calls about a TD in teardown. `enter`: on another LP than before. */
const ENDING: readonly (readonly [string, HostCall])[] = [
  ['flush', onLp(flush)],
  ['enter', on('TDH.VP.ENTER', tdvpr)],
  ['flush-elsewhere', flush],
  ['vpflushdone', vpflushdone],
  ['cache-wb', onLp(cacheWb)],
  ['cache-wb-resume', onLp(() => ['TDH.PHYMEM.CACHE.WB', { rcx: 1 }])],
  ['reclaimid', on('TDH.MNG.KEY.RECLAIMID', tdr)],
  ['freeid', freeid],
  ['reclaim', on('TDH.PHYMEM.PAGE.RECLAIM', (td, i) => td.pageOf(i))],
  ['reclaim-table', on('TDH.PHYMEM.PAGE.RECLAIM', (td, i) => td.tablePage(i, 1))],
  ['reclaim-tdcx', on('TDH.PHYMEM.PAGE.RECLAIM', lastTdcx)],
  ['reclaim-tdvpr', on('TDH.PHYMEM.PAGE.RECLAIM', tdvpr)],
  ['reclaim-tdr', on('TDH.PHYMEM.PAGE.RECLAIM', tdr)],
  ['wbinvd', on('TDH.PHYMEM.PAGE.WBINVD', freePage)],
  ['wbinvd-page', on('TDH.PHYMEM.PAGE.WBINVD', (td, i) => td.pageOf(i))],
];

/** Calls about another TD, whose TDR is a free page, or a reclaimed page of the first TD. */
const ANOTHER: readonly (readonly [string, HostCall])[] = [
  ['create', (td, i) => ['TDH.MNG.CREATE', { rcx: td.address(freePage(td, i)), rdx: FREE_HKID }]],
  [
    'create-same-key',
    (td, i) => ['TDH.MNG.CREATE', { rcx: td.address(freePage(td, i)), rdx: FREE_HKID - 1 }],
  ],
  ['create-reclaimed', (td) => ['TDH.MNG.CREATE', { rcx: td.address(td.tdr), rdx: FREE_HKID }]],
  [
    'create-of-page',
    (td, i) => ['TDH.MNG.CREATE', { rcx: td.address(td.pageOf(i)), rdx: FREE_HKID }],
  ],
  ['key-config-other', onLp(on('TDH.MNG.KEY.CONFIG', freePage))],
  ['vpflushdone-other', on('TDH.MNG.VPFLUSHDONE', freePage)],
  ['freeid-other', on('TDH.MNG.KEY.FREEID', freePage)],
  ['reclaim-other', on('TDH.PHYMEM.PAGE.RECLAIM', freePage)],
];

/** Calls that change nothing. The ids of fields: spec/tdx/metadata.ts, versions/v1.0/mng-rd.ts. */
const LOOKING: readonly (readonly [string, HostCall])[] = [
  ['rdmd', on('TDH.PHYMEM.PAGE.RDMD', (td, i) => td.pageOf(i))],
  ['rdmd-free', on('TDH.PHYMEM.PAGE.RDMD', freePage)],
  ['rd-children', field(0x8010_0003_0000_0004n, 0x8000_0000_0000_0004n)],
  ['rd-vcpus', field(0x9010_0002_0000_0001n, 0x9000_0000_0000_0001n)],
  ['rd-associated', field(0x9010_0002_0000_0002n, 0x9000_0000_0000_0002n)],
  ['rd-epoch', field(0x9210_0003_0000_0000n, 0x9200_0000_0000_0000n)],
  ['rd-next', field(NULL_FIELD, NULL_FIELD, 1)],
];

/** From a TD whose vCPUs are outside to one whose pages can be reclaimed, call by call. */
export const tearDown = (td: Layout): Made[] => [
  ...[0, 1].map((i) => onLp(flush)(td, i)),
  vpflushdone(td, 0),
  ...[0, 1].map((i) => onLp(cacheWb)(td, i)),
  freeid(td, 0),
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
