/**
 * The functions of the life-cycle pairs, by the names that recordings give them: the operands of
 * each, and the vCPU and the page that it is usually about.
 *
 * Source: the lock names of the recordings, and the status of each function that runs alone.
 */
import type { Operands } from '../../../../spec/tdx/call.ts';
import { RUNNING_VCPU } from './pair-setup.ts';
import { INITIALIZED_STAGE } from './stages.ts';
import { ENTRIES, TD_PARAMS, TD_PARAMS_PAGE } from './td-builder.ts';

const SOURCE = 0x10000000;
/** The id of TDCS.TD_EPOCH, as 1.5 and 1.0 have it. */
const FIELD_1_5 = 0x9210_0003_0000_0000n;
const FIELD_1_0 = 0x9200_0000_0000_0000n;
/** GPA 0 at the level of the root's entries, which are FREE. */
const ROOT_LEVEL = 3;

/** The inputs of a call. Addresses are HPAs in bytes. */
export interface Inputs {
  readonly tdr: number;
  readonly tdvpr: number;
  readonly tdvprPage: number;
  readonly page: number;
  readonly hkid: number;
  /** The LP of a host call, and the LP with which the vCPU is associated. */
  readonly lp: number;
  readonly vcpuLp: number;
}

/** The pages of a TD that functions are about, and free ones. HPAs in bytes. */
export interface Pages {
  readonly tdr: number;
  readonly tdcx: number;
  readonly secondTdcx: number;
  readonly nextTdcx: number;
  readonly tdvpr: number;
  readonly nextTdvpx: number;
  readonly private: number;
  readonly free: number;
  readonly newTable: number;
}

export interface LifecycleFunction {
  readonly operands: (inputs: Inputs) => Partial<Operands>;
  /** The vCPU that the function is usually about. */
  readonly vcpu?: (stageName: string) => number;
  /** The page operand. One of a TD's structures is the only valid one; `free` can be any. */
  readonly page?: keyof Pages;
  readonly guest?: true;
  /** The function takes no TD, and the second TD of a pair was not built for it. */
  readonly needsNoTd?: true;
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
const createTd = ({ page, hkid, lp }: Inputs): Partial<Operands> => ({ rcx: page, rdx: hkid, lp });
const addToTd = ({ page, tdr, lp }: Inputs): Partial<Operands> => ({ rcx: page, rdx: tdr, lp });
const addToVcpu = ({ page, tdvpr, lp }: Inputs): Partial<Operands> => ({
  rcx: page,
  rdx: tdvpr,
  lp,
});
const initialiseTd = ({ tdr, lp }: Inputs): Partial<Operands> => ({
  rcx: tdr,
  rdx: TD_PARAMS_PAGE,
  tdParams: TD_PARAMS,
  lp,
});
const readField =
  (field: bigint) =>
  ({ tdr, lp }: Inputs): Partial<Operands> => ({ rcx: tdr, field, lp });
const writeBack = ({ lp }: Inputs): Partial<Operands> => ({ rcx: 0, lp });
/** An x2APIC id that no vCPU of a set-up has. */
const X2APIC_ID = 9;
const vcpuWithId = (inputs: Inputs): Partial<Operands> => ({
  ...vcpuOnly(inputs),
  r8: X2APIC_ID,
  version: 1,
});
const accept = ({ tdvprPage, vcpuLp }: Inputs): Partial<Operands> => ({
  rcx: ENTRIES.pending,
  vcpu: tdvprPage,
  lp: vcpuLp,
});

const always = (vcpu: number) => () => vcpu;
/** The vCPU that is associated. */
const associated = (stageName: string): number => (stageName === INITIALIZED_STAGE ? 0 : 1);

/** Functions that only take the TD, in every version. */
const COMMON: readonly (readonly [string, LifecycleFunction])[] = [
  ['TDH.MNG.CREATE', { page: 'tdr', operands: createTd }],
  ['TDH.MNG.KEY.CONFIG', { operands: tdOnly }],
  ['TDH.MNG.ADDCX', { page: 'nextTdcx', operands: addToTd }],
  ['TDH.MNG.INIT', { operands: initialiseTd }],
  ['TDH.MNG.VPFLUSHDONE', { operands: tdOnly }],
  ['TDH.MNG.KEY.FREEID', { operands: tdOnly }],
  ['TDH.MNG.KEY.RECLAIMID', { operands: tdOnly }],
];

/** Version 1 of VP.INIT, from module 1.5.05 on. */
export const VP_INIT_1 = 'TDH.VP.INIT(version 1)';

const FUNCTIONS_1_5: ReadonlyMap<string, LifecycleFunction> = new Map([
  ...COMMON,
  ['TDH.MNG.RD', { operands: readField(FIELD_1_5) }],
  ['TDH.VP.CREATE', { page: 'tdvpr', vcpu: always(2), operands: addToTd }],
  ['TDH.VP.ADDCX', { page: 'nextTdvpx', vcpu: always(1), operands: addToVcpu }],
  ['TDH.VP.INIT', { vcpu: always(1), operands: vcpuOnly }],
  [VP_INIT_1, { vcpu: always(1), operands: vcpuWithId }],
  ['TDH.VP.FLUSH', { vcpu: associated, operands: vcpuOnly }],
  ['TDH.VP.ENTER', { vcpu: always(0), operands: vcpuOnly }],
  [RUNNING_VCPU, { vcpu: always(0), operands: vcpuOnly, guest: true }],
  ['TDH.PHYMEM.CACHE.WB', { operands: writeBack }],
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
  ['TDG.MEM.PAGE.ACCEPT', { vcpu: always(0), guest: true, operands: accept }],
]);

/** 1.0 was recorded with one vCPU, and names the case of a function in a field of its own. */
const FUNCTIONS_1_0: ReadonlyMap<string, LifecycleFunction> = new Map([
  ...COMMON,
  ['TDH.MNG.RD', { operands: readField(FIELD_1_0) }],
  ['TDH.VP.CREATE', { page: 'tdvpr', vcpu: always(0), operands: addToTd }],
  ['TDH.VP.ADDCX', { page: 'nextTdvpx', vcpu: always(0), operands: addToVcpu }],
  ['TDH.VP.INIT', { vcpu: always(0), operands: vcpuOnly }],
  ['TDH.VP.FLUSH', { vcpu: always(0), operands: vcpuOnly }],
  ['TDH.VP.ENTER', { vcpu: always(0), operands: vcpuOnly }],
  // as Y it finds no HKID to write back, whatever the stage of the second TD
  ['TDH.PHYMEM.CACHE.WB(START)', { operands: writeBack, needsNoTd: true }],
  ['TDH.PHYMEM.PAGE.WBINVD', { page: 'free', operands: pageOnly }],
  ['TDH.PHYMEM.PAGE.RDMD(TDR page)', { page: 'tdr', operands: pageOnly }],
  ['TDH.PHYMEM.PAGE.RECLAIM(child page)', { page: 'secondTdcx', operands: pageOnly }],
  ['TDH.PHYMEM.PAGE.RECLAIM(TDR)', { page: 'tdr', operands: pageOnly }],
  ['TDH.MEM.SEPT.ADD', { page: 'newTable', operands: withPage(0, ROOT_LEVEL) }],
  ['TDH.MEM.TRACK', { operands: tdOnly }],
  ['TDH.MR.FINALIZE', { operands: tdOnly }],
]);

export const LIFECYCLE_FUNCTIONS = { '1.0': FUNCTIONS_1_0, '1.5': FUNCTIONS_1_5 } as const;
