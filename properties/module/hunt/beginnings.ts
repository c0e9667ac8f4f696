/**
 * The states of a TD in which histories begin: every stage of its life in which calls of its life
 * cycle can meet, with as little left to be done as makes a short history matter (one page, one
 * package, one vCPU).
 *
 * The platform has two packages and caches of two parts, so that CACHE.WB can be interrupted; an
 * HKID that is free; and pages of which somebody may make another TD. Two vCPUs are initialised,
 * two only have their pages, one lacks the last of them; three may be initialised.
 */
import { initOperands, TDVPR_PAGES } from '../../../impl/vm/build-td.ts';
import type { Operands } from '../../../spec/tdx/call.ts';
import type { InterfaceFunction } from '../../../spec/tdx/module.ts';
import { MIN_TDCX, TD } from '../../../spec/tdx/td.ts';
import type { ModuleVersion } from '../../../spec/tdx/versions.ts';
import { ModuleRig, ROOT_LEVEL, TDR, TDVPRS } from '../rig/rig.ts';

/** The TD, by OP_STATE as long as it has keys, else by life-cycle state. */
export const BEGINNINGS = [
  'RUNNABLE',
  'INITIALIZED',
  'UNINITIALIZED',
  'HKID_ASSIGNED',
  'BLOCKED',
  'TEARDOWN',
] as const;
export type Beginning = (typeof BEGINNINGS)[number];

const PACKAGES = 2;
/** vCPUs that are not initialised. The last of them lacks a page. */
const UNFINISHED = 3;
const MAX_VCPUS = 3;
/** Behind the pages of the unfinished vCPUs: free ones, of which a TD or a part of one can be made. */
const FREE_PAGES = 4;

/** TDVPR of a vCPU that is not initialised. */
export const unfinishedVcpu = (rig: ModuleRig, i: number): number =>
  rig.extraPage((i % UNFINISHED) * TDVPR_PAGES);
/** TDVPR of the one that lacks a page, and that page. */
export const lackingVcpu = (rig: ModuleRig): number => unfinishedVcpu(rig, UNFINISHED - 1);
export const missingPage = (rig: ModuleRig): number => lackingVcpu(rig) + TDVPR_PAGES - 1;
/** The last page of the TD's TDCS, which is free in UNINITIALIZED. */
export const LAST_TDCX = TDR + MIN_TDCX;
/** A page that is nobody's at first. */
export const freePage = (rig: ModuleRig, i: number): number =>
  rig.extraPage(UNFINISHED * TDVPR_PAGES + (i % FREE_PAGES));
/** An HKID that is nobody's at first. */
export const freeHkid = (rig: ModuleRig): number => rig.tdx.keys.first + 2;
/** How the TD is initialised. */
export const tdParams = (): Pick<Operands, 'rdx' | 'tdParams'> =>
  initOperands({ maxVcpus: MAX_VCPUS });

/** What has been done to the TD when it has come to a state, after what was done before. */
const STAGES: readonly (readonly [Beginning, (rig: ModuleRig, tdr: number) => void])[] = [
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

/**
 * A world in which the TD has come so far; with other functions than the module's, if any are
 * given.
 */
export function begin(
  module: ModuleVersion,
  beginning: Beginning,
  functions: readonly InterfaceFunction[] = [],
): ModuleRig {
  const world = new ModuleRig({
    module,
    functions,
    extraPages: UNFINISHED * TDVPR_PAGES + FREE_PAGES,
    platform: { packages: PACKAGES, cacheSubBlocks: 2, privateHkids: [32, 34] },
  });
  for (const [name, advance] of STAGES) {
    advance(world, world.address(TDR));
    if (name === beginning) break;
  }
  return world;
}
