/**
 * Sets up the pairs of `lifecycle-conflicts.json`. X is a call about TD 0, Y a call about TD 0 or
 * TD 1; each TD is in a stage of its life. All is in tables, so any combination can be built.
 *
 * Source: the lock names of the recordings, and the status of each function that runs alone.
 */
import { PAGE_BYTES } from '../../../../spec/machine/memory.ts';
import {
  LIFECYCLE_FUNCTIONS,
  type Inputs,
  type LifecycleFunction,
  type Pages,
} from './lifecycle-functions.ts';
import { callOfY, functionOf, pairCall, type PairSetup } from './pair-setup.ts';
import { buildStages } from './stages.ts';
import { hkidOf, leafOf, type TdBuilder } from './td-builder.ts';
import { lpOf, OTHER_LP, SetupError, X_LP, Y_LP, type Testbed } from './testbed.ts';

export interface LifecyclePairName {
  readonly x: string;
  readonly y: string;
  /** How the functions are called, where they have several cases. */
  readonly xCase?: string;
  readonly yCase?: string;
  readonly relation: string;
  readonly tdStageX: string;
  readonly tdStageY: string | null;
}

/** What Y has in common with X. */
interface LifecycleRelation {
  readonly sharesVcpu?: true;
  readonly sharesHkid?: true;
  /** X's page operand, or of both the one that is the only valid one. */
  readonly page?: 'ofX' | 'valid';
}

const RELATIONS = {
  '1.0': new Map<string, LifecycleRelation>([
    ['sameTD', {}],
    ['otherTD', {}],
    ['sameVCPUotherLP', { sharesVcpu: true }],
    ['samePage', { page: 'ofX' }],
  ]),
  '1.5': new Map<string, LifecycleRelation>([
    ['sameTD', {}],
    ['otherTD', {}],
    ['sameVCPU', { sharesVcpu: true }],
    ['sameHKID', { sharesHkid: true }],
    ['samePageOperand', { page: 'valid' }],
  ]),
} as const;

/** HPA of the free pages that the recorders use; the first is X's. */
const FREE_PAGES = { '1.0': 0x100200000, '1.5': 0x10020c000 } as const;
const NEW_TABLES = 0x100210000;
/** The number of the page that is added to a vCPU; its TDVPR is 0. */
const NEW_TDVPX = { '1.0': 5, '1.5': 6 } as const;

/** Page operands for which only one page is valid. */
const STRUCTURAL: ReadonlySet<LifecycleFunction['page']> = new Set([
  'tdr',
  'nextTdcx',
  'tdvpr',
  'nextTdvpx',
] as const);

/** Sets up a pair. @throws SetupError if there is no set-up for it */
export function setUpLifecyclePair(testbed: Testbed, pair: LifecyclePairName): PairSetup {
  const { tables, hasOneVcpu } = testbed.conventions;
  const relation = RELATIONS[tables].get(pair.relation);
  if (relation === undefined)
    throw new SetupError(`there is no set-up for the relation ${pair.relation}`);
  const rowX = rowOf(testbed, pair.x, pair.xCase);
  const rowY = rowOf(testbed, pair.y, pair.yCase);
  const ofY = pair.tdStageY === null || rowY.needsNoTd === true ? [] : [pair.tdStageY];
  const builders = buildStages(testbed, [pair.tdStageX, ...ofY]);
  const yTd = ofY.length;
  const yStage = pair.tdStageY ?? pair.tdStageX;

  const xVcpu = rowX.vcpu?.(pair.tdStageX) ?? -1;
  const usual = rowY.vcpu?.(yStage) ?? -1;
  const others = isEntering(pair.x, rowX) && isEntering(pair.y, rowY);
  const avoids = !hasOneVcpu && yTd === 0 && usual === xVcpu && others;
  const yVcpu = usual < 0 ? -1 : relation.sharesVcpu ? xVcpu : avoids ? 1 - xVcpu : usual;
  const isShared = yTd === 0 && yVcpu === xVcpu;
  const xPage = pageOf(testbed, builders[0] as TdBuilder, rowX, xVcpu, 0); // one for each stage
  const yPage = pageOf(testbed, builders[yTd] as TdBuilder, rowY, yVcpu, 1); // as above
  const isYsValid = !STRUCTURAL.has(rowX.page) && STRUCTURAL.has(rowY.page);
  const yRules = relation.page === 'valid' && isYsValid;

  const x = inputsOf(testbed, 0, xVcpu, yRules ? yPage : xPage, hkidOf(0), X_LP, lpOf(0, xVcpu));
  const y = inputsOf(
    testbed,
    yTd,
    yVcpu,
    relation.page !== undefined && !yRules ? xPage : yPage,
    hkidOf(relation.sharesHkid ? 0 : hasOneVcpu ? 1 : yTd),
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
    needsX: false,
  };
}

const isEntering = (recorded: string, { guest }: LifecycleFunction): boolean =>
  functionOf(recorded) === 'TDH.VP.ENTER' || guest === true;

function rowOf(testbed: Testbed, recorded: string, which = ''): LifecycleFunction {
  const name = which === '' ? recorded : `${recorded}(${which})`;
  const row = LIFECYCLE_FUNCTIONS[testbed.conventions.tables].get(name);
  if (row === undefined) throw new SetupError(`there is no set-up for ${name}`);
  return row;
}

/** The usual page operand. `which` is the number of the free page: 0 for X, 1 for Y. */
function pageOf(
  testbed: Testbed,
  { td, tdcx }: TdBuilder,
  { page }: LifecycleFunction,
  vcpu: number,
  which: number,
): number {
  const { tables } = testbed.conventions;
  const tdr = testbed.tdrAddress(td);
  const tdvpr = vcpu < 0 ? 0 : testbed.address(testbed.tdvpr(td, vcpu));
  const pages: Pages = {
    tdr,
    tdcx: tdr + PAGE_BYTES,
    secondTdcx: tdr + 2 * PAGE_BYTES,
    nextTdcx: tdr + (tdcx + 1) * PAGE_BYTES,
    tdvpr,
    nextTdvpx: tdvpr + NEW_TDVPX[tables] * PAGE_BYTES,
    private: leafOf(td, 0),
    free: FREE_PAGES[tables] + which * PAGE_BYTES,
    newTable: NEW_TABLES + which * PAGE_BYTES,
  };
  return page === undefined ? 0 : pages[page];
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
