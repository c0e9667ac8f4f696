/**
 * Sets up the pairs of `lifecycle-conflicts.json`. X is a call about TD 0, Y a call about TD 0 or
 * TD 1; each TD is in a stage of its life. All is in tables, so any combination can be built.
 *
 * Source: the lock names of the recording, and the status of each function that runs alone.
 */
import { PAGE_BYTES } from '../../../../spec/machine/memory.ts';
import type { Operands } from '../../../../spec/tdx/call.ts';
import { MIN_TDVPS_PAGES } from '../../../../spec/tdx/td.ts';
import { callOfY, functionOf, pairCall, RUNNING_VCPU, type PairSetup } from './pair-setup.ts';
import {
  buildStages,
  ENTRIES,
  hkidOf,
  INITIALIZED_STAGE,
  leafOf,
  TD_PARAMS,
  TD_PARAMS_PAGE,
  type TdBuilder,
} from './stages.ts';
import { lpOf, OTHER_LP, SetupError, X_LP, Y_LP, type Testbed } from './testbed.ts';

export interface LifecyclePairName {
  readonly x: string;
  readonly y: string;
  readonly relation: string;
  readonly tdStageX: string;
  readonly tdStageY: string | null;
}

const RELATIONS: ReadonlySet<string> = new Set([
  'sameTD',
  'otherTD',
  'sameVCPU',
  'sameHKID',
  'samePageOperand',
]);

/** HPA of the free pages that the recorder uses; the first is X's. */
const FREE_PAGES = 0x10020c000;
const SOURCE = 0x10000000;
/** TDCS.TD_EPOCH. */
const FIELD = 0x9210_0003_0000_0000n;

/** The inputs of a call. Addresses are HPAs in bytes. */
interface Inputs {
  readonly tdr: number;
  readonly tdvpr: number;
  readonly tdvprPage: number;
  readonly page: number;
  readonly hkid: number;
  /** The LP of a host call, and the LP with which the vCPU is associated. */
  readonly lp: number;
  readonly vcpuLp: number;
}

interface FunctionRow {
  readonly operands: (inputs: Inputs) => Partial<Operands>;
  /** The vCPU that the function is usually about. */
  readonly vcpu?: (stageName: string) => number;
  /** The page operand. A page of the TD's structures is the only valid one; `free` can be any. */
  readonly page?: 'tdr' | 'nextTdcx' | 'tdvpr' | 'nextTdvpx' | 'free' | 'private' | 'tdcx';
  readonly guest?: true;
}

const mapping =
  (gpa: number) =>
  ({ tdr, lp }: Inputs): Partial<Operands> => ({ rcx: gpa, rdx: tdr, lp });
const withPage =
  (gpa: number, level = 0) =>
  ({ tdr, lp, page }: Inputs): Partial<Operands> => ({
    rcx: gpa + level,
    rdx: tdr,
    r8: page,
    r9: SOURCE,
    lp,
  });
const tdOnly = ({ tdr, lp }: Inputs): Partial<Operands> => ({ rcx: tdr, lp });
const pageOnly = ({ page, lp }: Inputs): Partial<Operands> => ({ rcx: page, lp });
const vcpuOnly = ({ tdvpr, vcpuLp }: Inputs): Partial<Operands> => ({ rcx: tdvpr, lp: vcpuLp });
/** Version 1 of VP.INIT, from module 1.5.05 on. */
const VP_INIT_1 = 'TDH.VP.INIT(version 1)';
/** An x2APIC id that no vCPU of a set-up has. */
const X2APIC_ID = 9;
const vcpuWithId = (inputs: Inputs): Partial<Operands> => ({
  ...vcpuOnly(inputs),
  r8: X2APIC_ID,
  version: 1,
});
const always = (vcpu: number) => () => vcpu;
/** The vCPU that is associated. */
const associated = (stageName: string): number => (stageName === INITIALIZED_STAGE ? 0 : 1);

const TABLE: ReadonlyMap<string, FunctionRow> = new Map<string, FunctionRow>([
  [
    'TDH.MNG.CREATE',
    { page: 'tdr', operands: ({ page, hkid, lp }) => ({ rcx: page, rdx: hkid, lp }) },
  ],
  ['TDH.MNG.KEY.CONFIG', { operands: tdOnly }],
  [
    'TDH.MNG.ADDCX',
    { page: 'nextTdcx', operands: ({ page, tdr, lp }) => ({ rcx: page, rdx: tdr, lp }) },
  ],
  [
    'TDH.MNG.INIT',
    { operands: ({ tdr, lp }) => ({ rcx: tdr, rdx: TD_PARAMS_PAGE, tdParams: TD_PARAMS, lp }) },
  ],
  ['TDH.MNG.VPFLUSHDONE', { operands: tdOnly }],
  ['TDH.MNG.KEY.FREEID', { operands: tdOnly }],
  ['TDH.MNG.KEY.RECLAIMID', { operands: tdOnly }],
  ['TDH.MNG.RD', { operands: ({ tdr, lp }) => ({ rcx: tdr, field: FIELD, lp }) }],
  [
    'TDH.VP.CREATE',
    {
      page: 'tdvpr',
      vcpu: always(2),
      operands: ({ page, tdr, lp }) => ({ rcx: page, rdx: tdr, lp }),
    },
  ],
  [
    'TDH.VP.ADDCX',
    {
      page: 'nextTdvpx',
      vcpu: always(1),
      operands: ({ page, tdvpr, lp }) => ({ rcx: page, rdx: tdvpr, lp }),
    },
  ],
  ['TDH.VP.INIT', { vcpu: always(1), operands: vcpuOnly }],
  [VP_INIT_1, { vcpu: always(1), operands: vcpuWithId }],
  ['TDH.VP.FLUSH', { vcpu: associated, operands: vcpuOnly }],
  ['TDH.VP.ENTER', { vcpu: always(0), operands: vcpuOnly }],
  [RUNNING_VCPU, { vcpu: always(0), operands: vcpuOnly, guest: true }],
  ['TDH.PHYMEM.CACHE.WB', { operands: ({ lp }) => ({ rcx: 0, lp }) }],
  ['TDH.PHYMEM.PAGE.WBINVD', { page: 'free', operands: pageOnly }],
  ['TDH.PHYMEM.PAGE.RDMD', { page: 'tdcx', operands: pageOnly }],
  ['TDH.PHYMEM.PAGE.RECLAIM', { page: 'private', operands: pageOnly }],
  ['TDH.PHYMEM.PAGE.RECLAIM(TDR)', { operands: tdOnly }],
  ['TDH.MEM.SEPT.ADD', { page: 'free', operands: withPage(ENTRIES.table, 1) }],
  ['TDH.MEM.SEPT.RD', { operands: mapping(ENTRIES.free) }],
  ['TDH.MEM.PAGE.ADD', { page: 'free', operands: withPage(ENTRIES.free) }],
  ['TDH.MEM.PAGE.AUG', { page: 'free', operands: withPage(ENTRIES.free) }],
  ['TDH.MEM.PAGE.REMOVE', { operands: mapping(ENTRIES.removable) }],
  ['TDH.MEM.RANGE.BLOCK', { operands: mapping(ENTRIES.pending) }],
  ['TDH.MEM.RANGE.UNBLOCK', { operands: mapping(ENTRIES.blocked) }],
  ['TDH.MEM.TRACK', { operands: tdOnly }],
  ['TDH.MR.EXTEND', { operands: mapping(ENTRIES.mapped) }],
  ['TDH.MR.FINALIZE', { operands: tdOnly }],
  [
    'TDG.MEM.PAGE.ACCEPT',
    {
      vcpu: always(0),
      guest: true,
      operands: ({ tdvprPage, vcpuLp }) => ({ rcx: ENTRIES.pending, vcpu: tdvprPage, lp: vcpuLp }),
    },
  ],
]);

/** The recorded name of every function that has a set-up in every version of the module. */
export const LIFECYCLE_FUNCTION_NAMES: readonly string[] = [...TABLE.keys()].filter(
  (name) => name !== VP_INIT_1,
);

/** Page operands for which only one page is valid. */
const STRUCTURAL: ReadonlySet<FunctionRow['page']> = new Set([
  'tdr',
  'nextTdcx',
  'tdvpr',
  'nextTdvpx',
] as const);

/** Sets up a pair. @throws SetupError if there is no set-up for it */
export function setUpLifecyclePair(testbed: Testbed, pair: LifecyclePairName): PairSetup {
  if (!RELATIONS.has(pair.relation))
    throw new SetupError(`there is no set-up for the relation ${pair.relation}`);
  const rowX = rowOf(pair.x);
  const rowY = rowOf(pair.y);
  const builders = buildStages(
    testbed,
    pair.tdStageY === null ? [pair.tdStageX] : [pair.tdStageX, pair.tdStageY],
  );
  const yTd = pair.tdStageY === null ? 0 : 1;
  const yStage = pair.tdStageY ?? pair.tdStageX;

  const xVcpu = rowX.vcpu?.(pair.tdStageX) ?? -1;
  const usual = rowY.vcpu?.(yStage) ?? -1;
  const yVcpu = vcpuOfY(pair, yTd, xVcpu, usual);
  const isShared = yTd === 0 && yVcpu === xVcpu;
  const xPage = pageOf(testbed, builders[0] as TdBuilder, rowX, xVcpu, 0); // one for each stage
  const yPage = pageOf(testbed, builders[yTd] as TdBuilder, rowY, yVcpu, 1); // as above
  const isSamePage = pair.relation === 'samePageOperand';
  const yRules = isSamePage && !STRUCTURAL.has(rowX.page) && STRUCTURAL.has(rowY.page);

  const x = inputsOf(testbed, 0, xVcpu, yRules ? yPage : xPage, hkidOf(0), X_LP, lpOf(0, xVcpu));
  const y = inputsOf(
    testbed,
    yTd,
    yVcpu,
    isSamePage && !yRules ? xPage : yPage,
    hkidOf(pair.relation === 'sameHKID' ? 0 : yTd),
    Y_LP,
    isShared ? OTHER_LP : lpOf(yTd, yVcpu),
  );
  if (rowY.guest === true) testbed.enter(yTd, yVcpu);
  return {
    testbed,
    x: pairCall(pair.x, rowX.operands(x)),
    y: callOfY(pair.y, rowY.operands(y)),
    watched: () => -1,
    enterX: rowX.guest === true ? () => testbed.enter(0, xVcpu) : () => undefined,
  };
}

/**
 * Y is about X's vCPU if the relation says so. Otherwise, if both vCPUs enter or run, Y's is not
 * X's.
 */
function vcpuOfY(
  { x, y, relation }: LifecyclePairName,
  yTd: number,
  xVcpu: number,
  usual: number,
): number {
  if (usual < 0) return -1;
  if (relation === 'sameVCPU') return xVcpu;
  return yTd === 0 && usual === xVcpu && isEntering(x) && isEntering(y) ? 1 - xVcpu : usual;
}

const isEntering = (recorded: string): boolean =>
  functionOf(recorded) === 'TDH.VP.ENTER' || TABLE.get(recorded)?.guest === true;

function rowOf(recorded: string): FunctionRow {
  const row = TABLE.get(recorded);
  if (row === undefined) throw new SetupError(`there is no set-up for ${recorded}`);
  return row;
}

/** The usual page operand. `which` is the number of the free page: 0 for X, 1 for Y. */
function pageOf(
  testbed: Testbed,
  { td, tdcx }: TdBuilder,
  { page }: FunctionRow,
  vcpu: number,
  which: number,
): number {
  const tdr = testbed.tdrAddress(td);
  const tdvpr = vcpu < 0 ? 0 : testbed.address(testbed.tdvpr(td, vcpu));
  return {
    tdr,
    nextTdcx: tdr + (tdcx + 1) * PAGE_BYTES,
    tdvpr,
    nextTdvpx: tdvpr + MIN_TDVPS_PAGES * PAGE_BYTES,
    free: FREE_PAGES + which * PAGE_BYTES,
    private: leafOf(td, 0),
    tdcx: tdr + PAGE_BYTES,
    none: 0,
  }[page ?? 'none'];
}

function inputsOf(
  testbed: Testbed,
  td: number,
  vcpu: number,
  page: number,
  hkid: number,
  lp: number,
  vcpuLp: number,
): Inputs {
  const tdvprPage = vcpu < 0 ? -1 : testbed.tdvpr(td, vcpu);
  return {
    tdr: testbed.tdrAddress(td),
    tdvprPage,
    tdvpr: testbed.address(tdvprPage),
    page,
    hkid,
    lp,
    vcpuLp,
  };
}
