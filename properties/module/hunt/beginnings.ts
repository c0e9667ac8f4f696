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
import { ModuleWorld, ROOT_LEVEL, TDR, TDVPRS } from '../world/world.ts';

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
export const unfinishedVcpu = (w: ModuleWorld, i: number): number =>
  w.extraPage((i % UNFINISHED) * TDVPR_PAGES);
/** TDVPR of the one that lacks a page, and that page. */
export const lackingVcpu = (w: ModuleWorld): number => unfinishedVcpu(w, UNFINISHED - 1);
export const missingPage = (w: ModuleWorld): number => lackingVcpu(w) + TDVPR_PAGES - 1;
/** The last page of the TD's TDCS, which is free in UNINITIALIZED. */
export const LAST_TDCX = TDR + MIN_TDCX;
/** A page that is nobody's at first. */
export const freePage = (w: ModuleWorld, i: number): number =>
  w.extraPage(UNFINISHED * TDVPR_PAGES + (i % FREE_PAGES));
/** An HKID that is nobody's at first. */
export const freeHkid = (w: ModuleWorld): number => w.tdx.keys.first + 2;
/** How the TD is initialised. */
export const tdParams = (): Pick<Operands, 'rdx' | 'tdParams'> =>
  initOperands({ maxVcpus: MAX_VCPUS });

/** What has been done to the TD when it has come to a state, after what was done before. */
const STAGES: readonly (readonly [Beginning, (w: ModuleWorld, tdr: number) => void])[] = [
  [
    'HKID_ASSIGNED',
    (w, tdr) => {
      w.must('TDH.MNG.CREATE', { rcx: tdr, rdx: w.tdx.keys.first + 1 });
      w.must('TDH.MNG.KEY.CONFIG', { rcx: tdr, lp: 0 });
    },
  ],
  [
    'UNINITIALIZED',
    (w, tdr) => {
      w.must('TDH.MNG.KEY.CONFIG', { rcx: tdr, lp: 1 });
      for (let i = 1; i < MIN_TDCX; i++)
        w.must('TDH.MNG.ADDCX', { rcx: w.address(TDR + i), rdx: tdr });
    },
  ],
  [
    'INITIALIZED',
    (w, tdr) => {
      w.must('TDH.MNG.ADDCX', { rcx: w.address(LAST_TDCX), rdx: tdr });
      w.must('TDH.MNG.INIT', { rcx: tdr, ...tdParams() });
      w.m.poke(w.memory.word(TDR, TD.ROOT_LEVEL), ROOT_LEVEL);
      for (const [lp, tdvpr] of TDVPRS.entries()) {
        createVcpu(w, tdvpr, TDVPR_PAGES);
        w.must('TDH.VP.INIT', { rcx: w.address(tdvpr), lp });
      }
      for (let i = 0; i < UNFINISHED; i++)
        createVcpu(w, unfinishedVcpu(w, i), TDVPR_PAGES - (i === UNFINISHED - 1 ? 1 : 0));
      w.addTables(0);
    },
  ],
  [
    'RUNNABLE',
    (w, tdr) => {
      w.must('TDH.MR.FINALIZE', { rcx: tdr });
    },
  ],
  [
    'BLOCKED',
    (w, tdr) => {
      w.must('TDH.MEM.PAGE.AUG', { ...w.mapping(0, 0), r8: w.address(w.pageOf(0)) });
      for (const [lp, tdvpr] of TDVPRS.entries())
        w.must('TDH.VP.FLUSH', { rcx: w.address(tdvpr), lp });
      w.must('TDH.MNG.VPFLUSHDONE', { rcx: tdr });
      w.must('TDH.PHYMEM.CACHE.WB', { rcx: 0, lp: 0 });
    },
  ],
  [
    'TEARDOWN',
    (w, tdr) => {
      w.must('TDH.PHYMEM.CACHE.WB', { rcx: 0, lp: 1 });
      w.must('TDH.MNG.KEY.FREEID', { rcx: tdr });
    },
  ],
];

function createVcpu(w: ModuleWorld, tdvpr: number, pages: number): void {
  w.must('TDH.VP.CREATE', { rcx: w.address(tdvpr), rdx: w.address(TDR) });
  for (let i = 1; i < pages; i++)
    w.must('TDH.VP.ADDCX', { rcx: w.address(tdvpr + i), rdx: w.address(tdvpr) });
}

/**
 * A world in which the TD has come so far; with other functions than the module's, if any are
 * given.
 */
export function begin(
  module: ModuleVersion,
  beginning: Beginning,
  functions: readonly InterfaceFunction[] = [],
): ModuleWorld {
  const world = new ModuleWorld({
    module,
    functions,
    build: false,
    extraPages: UNFINISHED * TDVPR_PAGES + FREE_PAGES,
    platform: { packages: PACKAGES, cacheSubBlocks: 2, privateHkids: [32, 34] },
  });
  for (const [name, advance] of STAGES) {
    advance(world, world.address(TDR));
    if (name === beginning) break;
  }
  return world;
}
