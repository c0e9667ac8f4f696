/**
 * The states in which scenarios of a hunt begin: one TD in each stage of its life; debug TDs whose
 * memory the VMM can read and write, with a page of each size; pages that the guest has not
 * accepted yet; and two TDs that share a pool of pages, `a` and `b`.
 */
import type { InterfaceFunction } from '../../../spec/tdx/module.ts';
import { SUCCESS } from '../../../spec/tdx/status.ts';
import type { ModuleVersion } from '../../../spec/tdx/versions/index.ts';
import { SOURCE } from '../rig/calls.ts';
import type { Layout } from '../rig/layout.ts';
import { ModuleRig } from '../rig/rig.ts';
import {
  addOtherTd,
  buildUpTo,
  EXTRA_PAGES,
  finishTo,
  FIRST_HKID,
  HKIDS,
  OTHER_HKID,
  PACKAGES,
  type TdPlan,
  type TdStage,
} from './td-stages.ts';

type Build = (rig: ModuleRig) => void;

/** The first TD, `a`, with both vCPUs unless there is a second TD. */
const first = (rig: ModuleRig, differences: Partial<TdPlan> = {}): TdPlan => ({
  td: rig,
  hkid: FIRST_HKID,
  vcpus: [0, 1],
  hasUnfinished: false,
  isDebug: true,
  ...differences,
});

/** The second TD, `b`. It has the vCPU that runs first, so that a single one is enough. */
const second = (rig: ModuleRig): TdPlan => ({
  td: rig.other,
  hkid: OTHER_HKID,
  vcpus: [0],
  hasUnfinished: false,
  isDebug: true,
});

/** One production TD, with vCPUs that are not initialised. */
const production =
  (stage: TdStage): Build =>
  (rig) =>
    buildUpTo(rig, first(rig, { hasUnfinished: true, isDebug: false }), stage);

/** One debug TD with a page at GFN 0, a 2M page at GFN 2 and a 1G page at GFN 4. */
const withEachSize =
  (stage: 'INITIALIZED' | 'RUNNABLE'): Build =>
  (rig) => {
    const plan = first(rig);
    buildUpTo(rig, plan, 'INITIALIZED');
    addPage(rig, rig, 0);
    addLargePage(rig, 2);
    addTable(rig, rig, 4, 2);
    addLargePage(rig, 4);
    addLargePage(rig, 6);
    promote(rig, 4, 2);
    finishTo(rig, plan, 'INITIALIZED', stage);
  };

/** A running TD with a pending page at GFN 0, and a 2M page at GFN 2 of which half is accepted. */
const withPending: Build = (rig) => {
  buildUpTo(rig, first(rig, { isDebug: false }), 'RUNNABLE');
  rig.uncoverRange(rig.pageOf(2, 1));
  for (const [gfn, level] of [
    [0, 0],
    [2, 1],
  ] as const)
    rig.must('TDH.MEM.PAGE.AUG', {
      ...rig.mapping(gfn, level),
      r8: rig.address(rig.pageOf(gfn, level)),
    });
  rig.must('TDH.VP.ENTER', { rcx: rig.address(rig.tdvpr(0)), lp: 0 });
  const { rcx } = rig.mapping(2, 1);
  rig.call('TDG.MEM.PAGE.ACCEPT', { rcx, vcpu: rig.tdvpr(0), lp: 0, interruptAfter: 1 });
  rig.leave(0);
};

/** `a` runs, with a page at GFN 0 and a 2M page at GFN 2. */
function buildRunning(rig: ModuleRig): void {
  const a = first(rig, { vcpus: [1] });
  buildUpTo(rig, a, 'INITIALIZED');
  addPage(rig, a.td, 0);
  addLargePage(rig, 2);
  finishTo(rig, a, 'INITIALIZED', 'RUNNABLE');
}

/** Two running TDs; `b` has a page at GFN 1. */
const twoRunning: Build = (rig) => {
  buildRunning(rig);
  const b = second(rig);
  buildUpTo(rig, b, 'INITIALIZED');
  addPage(rig, b.td, 1);
  finishTo(rig, b, 'INITIALIZED', 'RUNNABLE');
};

/** `a` runs; `b` is being built, and has a table for GFN 2 as well. */
const oneBuilding: Build = (rig) => {
  buildRunning(rig);
  const b = second(rig);
  buildUpTo(rig, b, 'INITIALIZED');
  addTable(rig, b.td, 2, 1);
};

/** `a` is being built and has pages at GFN 0 and 1; `b` runs. */
const oneRunning: Build = (rig) => {
  buildUpTo(rig, first(rig, { vcpus: [1] }), 'INITIALIZED');
  addPage(rig, rig, 0);
  addPage(rig, rig, 1);
  buildUpTo(rig, second(rig), 'RUNNABLE');
};

/** `a` is in teardown, and its page at GFN 0 is reclaimed; `b` runs. */
const oneEnding: Build = (rig) => {
  buildUpTo(rig, first(rig, { vcpus: [1] }), 'TEARDOWN');
  rig.must('TDH.PHYMEM.PAGE.RECLAIM', { rcx: rig.address(rig.pageOf(0)) });
  buildUpTo(rig, second(rig), 'RUNNABLE');
};

function addTable(rig: ModuleRig, td: Layout, gfn: number, level: number): void {
  const r8 = td.address(td.tablePage(gfn, level));
  rig.must('TDH.MEM.SEPT.ADD', { ...td.mapping(gfn, level), r8 });
}

function addPage(rig: ModuleRig, td: Layout, gfn: number): void {
  const r8 = td.address(td.pageOf(gfn));
  rig.must('TDH.MEM.PAGE.ADD', { ...td.mapping(gfn, 0), r8, r9: SOURCE });
}

/** Adds a 2M page: one page after the other, which are then merged. */
function addLargePage(rig: ModuleRig, gfn: number): void {
  addTable(rig, rig, gfn, 1);
  for (let i = 0; i < rig.tdx.geometry.span(1); i++) addPage(rig, rig, gfn + i);
  promote(rig, gfn, 1);
}

/** Merges the entries of a table; a version that requires it blocks and tracks the table first. */
function promote(rig: ModuleRig, gfn: number, level: number): void {
  const mapping = rig.mapping(gfn, level);
  if (rig.call('TDH.MEM.PAGE.PROMOTE', mapping).status === SUCCESS) return;
  rig.must('TDH.MEM.RANGE.BLOCK', mapping);
  rig.must('TDH.MEM.TRACK', { rcx: rig.address(rig.tdr) });
  rig.must('TDH.MEM.PAGE.PROMOTE', mapping);
}

const BUILDS = {
  RUNNABLE: production('RUNNABLE'),
  INITIALIZED: production('INITIALIZED'),
  UNINITIALIZED: production('UNINITIALIZED'),
  HKID_ASSIGNED: production('HKID_ASSIGNED'),
  BLOCKED: production('BLOCKED'),
  TEARDOWN: production('TEARDOWN'),
  'RUNNABLE-debug': withEachSize('RUNNABLE'),
  'INITIALIZED-debug': withEachSize('INITIALIZED'),
  'RUNNABLE-pending': withPending,
  'RUNNABLE-and-RUNNABLE': twoRunning,
  'RUNNABLE-and-INITIALIZED': oneBuilding,
  'INITIALIZED-and-RUNNABLE': oneRunning,
  'TEARDOWN-and-RUNNABLE': oneEnding,
} as const satisfies Record<string, Build>;

/** Name of a state in which a scenario begins: the stages of its TDs, and what is special. */
export type Beginning = keyof typeof BUILDS;
// the keys of a literal are its type
export const BEGINNINGS = Object.keys(BUILDS) as Beginning[];

/** A rig in that state. `functions` replace the module's functions of the same names. */
export function rigAt(
  module: ModuleVersion,
  beginning: Beginning,
  functions: readonly InterfaceFunction[] = [],
): ModuleRig {
  const rig = new ModuleRig({
    module,
    functions,
    extraPages: EXTRA_PAGES,
    platform: { packages: PACKAGES, cacheSubBlocks: 2, privateHkids: HKIDS },
  });
  addOtherTd(rig);
  BUILDS[beginning](rig);
  return rig;
}
