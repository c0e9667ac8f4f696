/**
 * Sets up Secure EPT pairs from their names alone: functions, relation, OP_STATE and entries. Any
 * combination can be built, also one that no recording has. Formats: `conflicts.json`,
 * `stepwise.jsonl`, and commit-order recordings, which hold single calls and are not shipped.
 */
import type { Operands } from '../../../../spec/tdx/call.ts';
import { RUNNABLE, TD, TEARDOWN, VP } from '../../../../spec/tdx/td.ts';
import type { VersionData } from '../../../../spec/tdx/versions/index.ts';
import {
  blockAgain,
  buildEntry,
  bytesAt,
  entryCell,
  entrySpec,
  PagePool,
  pagesByEntry,
  pagesFromPool,
  reachedCell,
  type EntrySpec,
} from './entries.ts';
import {
  functionRow,
  hasEntry,
  isArmedName,
  isOfGuest,
  usualEntry,
  type FunctionRow,
} from './functions.ts';
import { pageOperands, type EntryLocation, type Pair } from './pages.ts';
import { callOfY, pairCall, RUNNING_VCPU, type PairSetup } from './pair-setup.ts';
import { isSeparate, type Relation } from './relations.ts';
import { armSteppingFilter } from './stepping.ts';
import { lpOf, OTHER_LP, SetupError, X_LP, Y_LP, type Testbed } from './testbed.ts';

export interface PairName {
  /**
   * The recording. They differ in the page of TDH.PHYMEM.PAGE.RECLAIM and RDMD where no entry is
   * named.
   */
  readonly recorder: 'conflicts' | 'stepwise';
  readonly x: string;
  readonly y: string;
  readonly relation: string;
  readonly opState: string;
  readonly xEntry: string | null;
  readonly yEntry: string | null;
}

/** Levels of the entries that recordings name by their position. */
const LEVEL_OF_POSITION = new Map([
  ['L0 child', 0],
  ['L1 parent', 1],
  ['L2 grandparent', 2],
  ['L2 parent', 2],
  ['L0', 0],
  ['L1', 1],
  ['L2', 2],
  ['(new page operand of X)@L0', 0],
]);

/** Sets up a pair. @throws SetupError if there is no set-up for it */
export function setUpPair(testbed: Testbed, pair: PairName): PairSetup {
  const { forcesTeardown, isStateShared, relations, walksToEntry } = testbed.conventions;
  const relation = relations.get(pair.relation);
  if (relation === undefined)
    throw new SetupError(`there is no set-up for the relation ${pair.relation}`);
  const rows = { x: functionRow(pair.x), y: functionRow(pair.y) };
  const { entries, tracked, untracked } = buildEntries(testbed, pair, relation, rows);
  enterOpState(testbed, 0, pair.opState, tracked);
  if (relation.otherTd === true)
    enterOpState(testbed, 1, isStateShared ? pair.opState : usualOpState(rows.y), tracked);
  for (const { td, gpa, level } of untracked) blockAgain(testbed, td, gpa, level);

  const pages = pageOperands(testbed, relation, rows, entries, pair.recorder);
  const isShared = isVcpuShared(testbed, pair, relation);
  const vcpus = vcpusOf(relation, isShared);
  const enterX = prepareVcpu(testbed, pair.x, vcpus.x);
  const enterY = isShared ? null : prepareVcpu(testbed, pair.y, vcpus.y);
  enterY?.();
  if (forcesTeardown && pair.x === 'TDH.PHYMEM.PAGE.RECLAIM')
    testbed.m.poke(testbed.tdCell(0, TD.LIFECYCLE), TEARDOWN);
  const cellOf = walksToEntry ? reachedCell : entryCell;
  return {
    testbed,
    x: pairCall(pair.x, operandsFor(testbed, rows.x, entries.x, pages.x, vcpus.x, X_LP)),
    y: callOfY(pair.y, operandsFor(testbed, rows.y, entries.y, pages.y, vcpus.y, Y_LP)),
    watched: () => cellOf(testbed, 0, entries.x.gpa, entries.x.level),
    enterX: enterX ?? (() => undefined),
    needsX: isShared && relation.otherLp !== true,
  };
}

/** Y is about X's vCPU: on another LP, or as the call of a vCPU that else only runs. */
const isVcpuShared = (testbed: Testbed, { x, y }: PairName, { otherLp }: Relation): boolean =>
  otherLp === true || (testbed.conventions.sharesRunningVcpu && x === RUNNING_VCPU && isInGuest(y));

/** The call is one of a vCPU in the guest. */
const isInGuest = (recorded: string): boolean =>
  recorded === RUNNING_VCPU || isOfGuest(functionRow(recorded));

const usualOpState = ({ only }: FunctionRow): string => only ?? 'RUNNABLE';

interface BuiltEntries {
  readonly entries: Pair<EntryLocation>;
  /** The TDs with an entry that is blocked and tracked. */
  readonly tracked: ReadonlySet<number>;
  /** Entries that have to be blocked in the current epoch. */
  readonly untracked: readonly EntryLocation[];
}

/** Builds the entries of both calls. */
function buildEntries(
  testbed: Testbed,
  pair: PairName,
  relation: Relation,
  rows: Pair<FunctionRow>,
): BuiltEntries {
  const pool = new PagePool();
  const tracked = new Set<number>();
  const untracked: EntryLocation[] = [];
  const build = (entry: EntryLocation, spec: EntrySpec, which: number): void => {
    const pages = testbed.conventions.pagesByEntry ? pagesByEntry(which) : pagesFromPool(pool);
    buildEntry(testbed, pool, entry.td, entry.gpa, spec, pages);
    if (spec.isTracked) tracked.add(entry.td);
    if (spec.isUntracked) untracked.push(entry);
  };
  const base = entrySpec(baseEntry(testbed.tdx.version, pair, relation, rows));
  build({ td: 0, gpa: 0, level: base.level }, base, 0);
  const x = { td: 0, gpa: 0, level: LEVEL_OF_POSITION.get(pair.xEntry ?? '') ?? base.level };
  if (!isSeparate(relation))
    return {
      entries: { x, y: { ...x, level: x.level + (relation.levels ?? 0) } },
      tracked,
      untracked,
    };

  const td = relation.otherTd === true ? 1 : 0;
  const opState = td === 1 ? usualOpState(rows.y) : pair.opState;
  const own = entrySpec(named(pair.yEntry) ?? usualEntry(rows.y, opState, testbed.tdx.version));
  const gpa = relation.apart === 'next' ? bytesAt(testbed, own.level) : (relation.apart ?? 0);
  const y = { td, gpa, level: own.level };
  build(y, own, 1);
  return { entries: { x, y }, tracked, untracked };
}

/** The state that the recording names; null if it names none, or a position. */
const named = (entry: string | null): string | null =>
  entry === null || LEVEL_OF_POSITION.has(entry) ? null : entry;

/**
 * The state of the entry at GPA 0. It is X's; if X has no entry, Y's, unless Y's entry is
 * elsewhere. If neither has one, or it is named by its position, it is the entry that the functions
 * are usually set up with; for the child at level 0 only a usual entry of level 0 counts.
 */
function baseEntry(
  version: VersionData,
  pair: PairName,
  relation: Relation,
  rows: Pair<FunctionRow>,
): string {
  const separate = isSeparate(relation);
  const given = named(pair.xEntry) ?? (separate ? null : named(pair.yEntry));
  if (given !== null) return given;
  const hasUsualEntry = (row: FunctionRow): boolean =>
    hasEntry(row) || (row.takes === 'page' && (row === rows.x || pair.recorder === 'conflicts'));
  const usual = (separate ? [rows.x] : [rows.x, rows.y])
    .filter(hasUsualEntry)
    .map((row) => usualEntry(row, pair.opState, version));
  const chosen =
    pair.yEntry === 'L0 child' ? usual.slice(-1).filter((name) => name.endsWith('@L0')) : usual;
  return chosen.find((name) => name !== 'FREE@L0') ?? 'FREE@L0';
}

/** Moves a TD from INITIALIZED to the OP_STATE of the recording, and on to epoch 2. */
function enterOpState(
  testbed: Testbed,
  td: number,
  opState: string,
  tracked: ReadonlySet<number>,
): void {
  const isRunnable = opState === 'RUNNABLE';
  if (!isRunnable && opState !== 'INITIALIZED')
    throw new SetupError(`there is no set-up for OP_STATE ${opState}`);
  if (isRunnable) testbed.m.poke(testbed.tdCell(td, TD.OP_STATE), RUNNABLE);
  if (testbed.conventions.tracksRunnable ? isRunnable : tracked.has(td))
    testbed.expect('TDH.MEM.TRACK', { rcx: testbed.tdrAddress(td) });
}

interface Vcpu {
  readonly td: number;
  readonly vcpu: number;
  readonly lp: number;
}

/** X is about vCPU 0; Y is about another vCPU, unless it is the same. */
function vcpusOf({ otherTd, otherLp }: Relation, isShared: boolean): Pair<Vcpu> {
  const x = { td: 0, vcpu: 0, lp: lpOf(0, 0) };
  if (isShared) return { x, y: otherLp === true ? { ...x, lp: OTHER_LP } : x };
  const [td, vcpu] = otherTd === true ? [1, 0] : [0, 1];
  return { x, y: { td, vcpu, lp: lpOf(td, vcpu) } };
}

/** Prepares a vCPU for a function. Returns how it enters the guest; null if it stays outside. */
function prepareVcpu(testbed: Testbed, recorded: string, { td, vcpu }: Vcpu): (() => void) | null {
  const runs = testbed.m.peek(testbed.tdCell(td, TD.OP_STATE)) === RUNNABLE;
  if (isArmedName(recorded) && runs) armSteppingFilter(testbed, td, vcpu);
  const inGuest = isInGuest(recorded);
  if (!inGuest && recorded !== 'TDH.VP.FLUSH') return null;
  if (!inGuest && !runs) {
    associate(testbed, td, vcpu);
    return null;
  }
  if (!inGuest || testbed.conventions.entersTwice) {
    testbed.enter(td, vcpu);
    testbed.exit(td, vcpu);
  }
  return inGuest ? () => testbed.enter(td, vcpu) : null;
}

/** Associates the vCPU with an LP, as TDH.VP.INIT does. */
function associate(testbed: Testbed, td: number, vcpu: number): void {
  const { m } = testbed;
  const count = testbed.tdCell(td, TD.NUM_ASSOC_VCPUS);
  m.poke(testbed.tdx.memory.word(testbed.tdvpr(td, vcpu), VP.ASSOC_LPID), lpOf(td, vcpu) + 1);
  m.poke(count, m.peek(count) + 1);
}

function operandsFor(
  testbed: Testbed,
  row: FunctionRow,
  { td, gpa, level }: EntryLocation,
  page: number,
  vcpu: Vcpu,
  lp: number,
): Partial<Operands> {
  const rdx = testbed.tdrAddress(td);
  const tdvpr = testbed.tdvpr(vcpu.td, vcpu.vcpu);
  return {
    mapping: { rcx: gpa + level, rdx, r8: page, lp },
    gpa: { rcx: gpa, rdx, lp },
    td: { rcx: rdx, lp },
    page: { rcx: page, lp },
    vcpu: { rcx: testbed.address(tdvpr), lp: vcpu.lp },
    guest: { rcx: gpa + level, vcpu: tdvpr, lp: vcpu.lp },
    exit: { vcpu: tdvpr, lp: vcpu.lp },
  }[row.takes];
}
