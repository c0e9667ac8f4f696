/**
 * The stages of a TD's life in which scenarios begin: every stage in which life-cycle calls can
 * overlap. Each is one page, one package or one vCPU short of the next, so that a short scenario
 * reaches it.
 *
 * The platform has two packages and caches of two parts, so that CACHE.WB can be interrupted; an
 * HKID that is free; and pages for another TD. Two vCPUs are initialised, two only have their
 * pages, one lacks the last page; the TD allows three initialised ones.
 */
import { initOperands, TDVPR_PAGES } from '../../../impl/vm/build-td.ts';
import type { Operands } from '../../../spec/tdx/call.ts';
import type { InterfaceFunction } from '../../../spec/tdx/module.ts';
import { MIN_TDCX, TD } from '../../../spec/tdx/td.ts';
import type { ModuleVersion } from '../../../spec/tdx/versions/index.ts';
import { ModuleRig, ROOT_LEVEL, TDR, TDVPRS } from '../rig/rig.ts';

/** OP_STATE of a TD that has keys, else its life-cycle state. */
export const TD_STAGES = [
  'RUNNABLE',
  'INITIALIZED',
  'UNINITIALIZED',
  'HKID_ASSIGNED',
  'BLOCKED',
  'TEARDOWN',
] as const;
export type TdStage = (typeof TD_STAGES)[number];

const PACKAGES = 2;
/** Number of vCPUs that are not initialised. The last of them lacks a page. */
const UNFINISHED = 3;
const MAX_VCPUS = 3;
/** Number of free pages behind those of the unfinished vCPUs: for another TD, or a part of one. */
const FREE_PAGES = 4;

/** TDVPR of a vCPU that is not initialised. */
export const unfinishedVcpu = (rig: ModuleRig, i: number): number =>
  rig.extraPage((i % UNFINISHED) * TDVPR_PAGES);
/** TDVPR of the vCPU that lacks a page, and that page. */
export const lackingVcpu = (rig: ModuleRig): number => unfinishedVcpu(rig, UNFINISHED - 1);
export const missingPage = (rig: ModuleRig): number => lackingVcpu(rig) + TDVPR_PAGES - 1;
/** The last page of the TD's TDCS, which is free in UNINITIALIZED. */
export const LAST_TDCX = TDR + MIN_TDCX;
/** A page that is free at first. */
export const freePage = (rig: ModuleRig, i: number): number =>
  rig.extraPage(UNFINISHED * TDVPR_PAGES + (i % FREE_PAGES));
/** An HKID that is free at first. */
export const freeHkid = (rig: ModuleRig): number => rig.tdx.keys.first + 2;
/** The parameters of TDH.MNG.INIT. */
export const tdParams = (): Pick<Operands, 'rdx' | 'tdParams'> =>
  initOperands({ maxVcpus: MAX_VCPUS });

/** The calls that lead from one stage to the next, in the order of the stages. */
const TRANSITIONS: readonly (readonly [TdStage, (rig: ModuleRig, tdr: number) => void])[] = [
  [
    'HKID_ASSIGNED',
    (rig, tdr) => {
      rig.must('TDH.MNG.CREATE', { rcx: tdr, rdx: rig.tdx.keys.first + 1 });
      rig.must('TDH.MNG.KEY.CONFIG', { rcx: tdr, lp: 0 });
    },
  ],
  [
    'UNINITIALIZED',
    (rig, tdr) => {
      rig.must('TDH.MNG.KEY.CONFIG', { rcx: tdr, lp: 1 });
      for (let i = 1; i < MIN_TDCX; i++)
        rig.must('TDH.MNG.ADDCX', { rcx: rig.address(TDR + i), rdx: tdr });
    },
  ],
  [
    'INITIALIZED',
    (rig, tdr) => {
      rig.must('TDH.MNG.ADDCX', { rcx: rig.address(LAST_TDCX), rdx: tdr });
      rig.must('TDH.MNG.INIT', { rcx: tdr, ...tdParams() });
      rig.m.poke(rig.memory.word(TDR, TD.ROOT_LEVEL), ROOT_LEVEL);
      for (const [lp, tdvpr] of TDVPRS.entries()) {
        createVcpu(rig, tdvpr, TDVPR_PAGES);
        rig.must('TDH.VP.INIT', { rcx: rig.address(tdvpr), lp });
      }
      for (let i = 0; i < UNFINISHED; i++)
        createVcpu(rig, unfinishedVcpu(rig, i), TDVPR_PAGES - (i === UNFINISHED - 1 ? 1 : 0));
      rig.addTables(0);
    },
  ],
  [
    'RUNNABLE',
    (rig, tdr) => {
      rig.must('TDH.MR.FINALIZE', { rcx: tdr });
    },
  ],
  [
    'BLOCKED',
    (rig, tdr) => {
      rig.must('TDH.MEM.PAGE.AUG', { ...rig.mapping(0, 0), r8: rig.address(rig.pageOf(0)) });
      for (const [lp, tdvpr] of TDVPRS.entries())
        rig.must('TDH.VP.FLUSH', { rcx: rig.address(tdvpr), lp });
      rig.must('TDH.MNG.VPFLUSHDONE', { rcx: tdr });
      rig.must('TDH.PHYMEM.CACHE.WB', { rcx: 0, lp: 0 });
    },
  ],
  [
    'TEARDOWN',
    (rig, tdr) => {
      rig.must('TDH.PHYMEM.CACHE.WB', { rcx: 0, lp: 1 });
      rig.must('TDH.MNG.KEY.FREEID', { rcx: tdr });
    },
  ],
];

function createVcpu(rig: ModuleRig, tdvpr: number, pages: number): void {
  rig.must('TDH.VP.CREATE', { rcx: rig.address(tdvpr), rdx: rig.address(TDR) });
  for (let i = 1; i < pages; i++)
    rig.must('TDH.VP.ADDCX', { rcx: rig.address(tdvpr + i), rdx: rig.address(tdvpr) });
}

/** A rig with a TD in that stage. `functions` replace the module's functions of the same names. */
export function rigAtStage(
  module: ModuleVersion,
  stage: TdStage,
  functions: readonly InterfaceFunction[] = [],
): ModuleRig {
  const world = new ModuleRig({
    module,
    functions,
    extraPages: UNFINISHED * TDVPR_PAGES + FREE_PAGES,
    platform: { packages: PACKAGES, cacheSubBlocks: 2, privateHkids: [32, 34] },
  });
  for (const [name, advance] of TRANSITIONS) {
    advance(world, world.address(TDR));
    if (name === stage) break;
  }
  return world;
}
