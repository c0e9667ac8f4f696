/**
 * Builds TDs up to a stage of their life, by the module's life-cycle functions. Each stage is one
 * page, one package or one vCPU short of the next, so that a short scenario reaches it.
 *
 * The platform has two packages and caches of two parts, so that CACHE.WB can be interrupted; an
 * HKID that is free; and free pages.
 */
import { initOperands, TDVPR_PAGES } from '../../../impl/vm/build-td.ts';
import type { Operands } from '../../../spec/tdx/call.ts';
import { MIN_TDCX, TD } from '../../../spec/tdx/td.ts';
import { TABLE_PAGES, type Layout } from '../rig/layout.ts';
import { ROOT_LEVEL, type ModuleRig } from '../rig/rig.ts';

/** OP_STATE of a TD that has keys, else its life-cycle state; in the order of a TD's life. */
const TD_STAGES = [
  'HKID_ASSIGNED',
  'UNINITIALIZED',
  'INITIALIZED',
  'RUNNABLE',
  'BLOCKED',
  'TEARDOWN',
] as const;
export type TdStage = (typeof TD_STAGES)[number];

export const PACKAGES = 2;
/** Number of vCPUs that are not initialised. The last of them lacks a page. */
const UNFINISHED = 3;
const MAX_VCPUS = 3;
/** Number of free pages behind those of the unfinished vCPUs: for another TD, or a part of one. */
const FREE_PAGES = 4;
/** The second TD's TDR, TDCX pages and tables, behind the free pages. */
const OTHER_TDR = UNFINISHED * TDVPR_PAGES + FREE_PAGES;
const OTHER_TABLE = OTHER_TDR + MIN_TDCX + 1;
/** Number of pages behind those of the guest. */
export const EXTRA_PAGES = OTHER_TABLE + TABLE_PAGES;

/** TDVPR of a vCPU that is not initialised. */
export const unfinishedVcpu = (td: Layout, i: number): number =>
  td.extraPage((i % UNFINISHED) * TDVPR_PAGES);
/** TDVPR of the vCPU that lacks a page, and that page. */
export const lackingVcpu = (td: Layout): number => unfinishedVcpu(td, UNFINISHED - 1);
export const missingPage = (td: Layout): number => lackingVcpu(td) + TDVPR_PAGES - 1;
/** The last page of the TD's TDCS, which is free in UNINITIALIZED. */
export const lastTdcx = (td: Layout): number => td.tdr + td.tdx.version.tdcx.min;
/** A page that is free at first. */
export const freePage = (td: Layout, i: number): number =>
  td.extraPage(UNFINISHED * TDVPR_PAGES + (i % FREE_PAGES));
/** First and last HKID: the module's own, of the first TD, one that is free, of the second TD. */
export const HKIDS = [32, 35] as const;
export const FIRST_HKID = HKIDS[0] + 1;
export const FREE_HKID = FIRST_HKID + 1;
export const OTHER_HKID = FREE_HKID + 1;

/** The pages of the second TD. */
export const addOtherTd = (rig: ModuleRig): Layout =>
  rig.addOther(rig.extraPage(OTHER_TDR), rig.extraPage(OTHER_TABLE));

/** A TD to build. */
export interface TdPlan {
  readonly td: Layout;
  readonly hkid: number;
  /** Numbers of its initialised vCPUs. */
  readonly vcpus: readonly number[];
  /** Whether it has vCPUs that are not initialised as well. */
  readonly hasUnfinished: boolean;
  readonly isDebug: boolean;
}

const DEBUG = 1n;

/** Operands of MNG.INIT besides the TD: three vCPUs can be initialised. */
export const tdParams = (isDebug: boolean): Pick<Operands, 'rdx' | 'tdParams'> =>
  initOperands({ maxVcpus: MAX_VCPUS, attributes: isDebug ? DEBUG : 0n });

/** The calls that lead to each stage from the one before. */
const ADVANCE: Readonly<Record<TdStage, (rig: ModuleRig, plan: TdPlan) => void>> = {
  HKID_ASSIGNED: (rig, { td, hkid }) => {
    rig.must('TDH.MNG.CREATE', { rcx: td.address(td.tdr), rdx: hkid });
    rig.must('TDH.MNG.KEY.CONFIG', { rcx: td.address(td.tdr), lp: 0 });
  },
  UNINITIALIZED: (rig, { td }) => {
    const tdr = td.address(td.tdr);
    rig.must('TDH.MNG.KEY.CONFIG', { rcx: tdr, lp: 1 });
    for (let page = td.tdr + 1; page < lastTdcx(td); page++)
      rig.must('TDH.MNG.ADDCX', { rcx: td.address(page), rdx: tdr });
  },
  INITIALIZED: (rig, { td, vcpus, hasUnfinished, isDebug }) => {
    const tdr = td.address(td.tdr);
    rig.must('TDH.MNG.ADDCX', { rcx: td.address(lastTdcx(td)), rdx: tdr });
    rig.must('TDH.MNG.INIT', { rcx: tdr, ...tdParams(isDebug) });
    rig.m.poke(rig.memory.word(td.tdr, TD.ROOT_LEVEL), ROOT_LEVEL);
    for (const lp of vcpus) {
      createVcpu(rig, td, rig.tdvpr(lp), TDVPR_PAGES);
      rig.must('TDH.VP.INIT', { rcx: td.address(rig.tdvpr(lp)), lp });
    }
    for (let i = 0; i < (hasUnfinished ? UNFINISHED : 0); i++)
      createVcpu(rig, td, unfinishedVcpu(td, i), TDVPR_PAGES - (i === UNFINISHED - 1 ? 1 : 0));
    rig.addTables(0, 1, td);
  },
  RUNNABLE: (rig, { td }) => {
    rig.must('TDH.MR.FINALIZE', { rcx: td.address(td.tdr) });
  },
  BLOCKED: (rig, { td, vcpus }) => {
    rig.must('TDH.MEM.PAGE.AUG', { ...td.mapping(0, 0), r8: td.address(td.pageOf(0)) });
    for (const lp of vcpus) rig.must('TDH.VP.FLUSH', { rcx: td.address(rig.tdvpr(lp)), lp });
    rig.must('TDH.MNG.VPFLUSHDONE', { rcx: td.address(td.tdr) });
    rig.must('TDH.PHYMEM.CACHE.WB', { rcx: 0, lp: 0 });
  },
  TEARDOWN: (rig, { td }) => {
    rig.must('TDH.PHYMEM.CACHE.WB', { rcx: 0, lp: 1 });
    rig.must('TDH.MNG.KEY.FREEID', { rcx: td.address(td.tdr) });
  },
};

/** Builds a TD up to a stage. */
export function buildUpTo(rig: ModuleRig, plan: TdPlan, stage: TdStage): void {
  for (const name of TD_STAGES.slice(0, TD_STAGES.indexOf(stage) + 1)) ADVANCE[name](rig, plan);
}

/** Brings a TD from one stage to another. */
export function finishTo(rig: ModuleRig, plan: TdPlan, from: TdStage, to: TdStage): void {
  const way = TD_STAGES.slice(TD_STAGES.indexOf(from) + 1, TD_STAGES.indexOf(to) + 1);
  for (const name of way) ADVANCE[name](rig, plan);
}

function createVcpu(rig: ModuleRig, td: Layout, tdvpr: number, pages: number): void {
  rig.must('TDH.VP.CREATE', { rcx: td.address(tdvpr), rdx: td.address(td.tdr) });
  for (let i = 1; i < pages; i++)
    rig.must('TDH.VP.ADDCX', { rcx: td.address(tdvpr + i), rdx: td.address(tdvpr) });
}
