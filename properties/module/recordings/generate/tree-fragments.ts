/** Fragments about tables and pages: added, accepted, blocked, removed, merged and split. */
import { PAGE_BYTES } from '../../../../spec/machine/memory.ts';
import { stateName, stateOf } from '../../../../spec/tdx/entry.ts';
import { hexOf } from '../format/values.ts';
import type { CallWriter } from './call-writer.ts';
import { type Location } from './td-view.ts';

/** A few calls of a scenario. */
export type Fragment = (w: CallWriter) => void;

/** States of entries that point to a page, and of entries that point to a table. */
export const LEAVES = ['MAPPED', 'PENDING', 'BLOCKED', 'PENDING_BLOCKED'];
export const TABLES = ['NL_MAPPED', 'NL_BLOCKED'];
const BLOCKED = ['BLOCKED', 'PENDING_BLOCKED', 'NL_BLOCKED'];
/** HPA in shared memory from which pages are copied. */
export const SOURCE = '0x10000000';
const FULL = 512;
/** The value of a register that names no page. */
const NOT_GIVEN = '0xffffffffffffffff';

/** Adds the tables that are missing above an entry. */
export function build(w: CallWriter, location: Location): void {
  for (let tries = w.rootLevel; tries > location.level; tries--) {
    const { at, entry } = w.walk(location);
    if (at === location.level) return;
    if (stateName(stateOf(entry)) !== 'FREE') return;
    addTable(w, w.at(location.gpa, at));
  }
}

/** Adds a table under an entry, whatever its state. */
export function addTable(w: CallWriter, location: Location): void {
  const version = w.version();
  const more = version === 0 ? {} : { r9: w.rng.percent(80) ? NOT_GIVEN : w.freePage() };
  w.withPage('TDH.MEM.SEPT.ADD', location, w.freePage(), { version, regs: more });
}

/** Returns an entry's location, with the tables above it if they can be added. */
function built(w: CallWriter, level: number): Location {
  const location = w.anyLocation(level);
  build(w, location);
  return location;
}

/** Adds the tables above an entry. */
export const addTables: Fragment = (w) => {
  build(w, w.anyLocation(w.rng.pick([0, 0, 1, 2])));
};

/** Adds a page with contents while the TD is built, and measures a part of it. */
export const addPage: Fragment = (w) => {
  const location = built(w, 0);
  const source = SOURCE;
  w.withPage('TDH.MEM.PAGE.ADD', location, w.freePage(), { source, regs: { r9: source } });
  for (let chunk = w.rng.below(3); chunk > 0; chunk--)
    extend(w, location.gpa + w.rng.below(16) * 256);
};

/** Measures 256 bytes. */
export const extend = (w: CallWriter, gpa: number): void =>
  w.host('TDH.MR.EXTEND', {
    gpa: hexOf(BigInt(gpa)),
    regs: { rcx: hexOf(BigInt(gpa)), rdx: w.tdr },
  });

/** Adds a page to a running TD; a vCPU accepts it. */
export const augment: Fragment = (w) => {
  const level = w.rng.percent(45) ? 1 : 0;
  const location = built(w, level);
  w.withPage('TDH.MEM.PAGE.AUG', location, level === 0 ? w.freePage() : w.freeLargePage());
  if (w.isRunnable && w.rng.percent(75)) acceptAt(w, location);
};

/** A vCPU accepts; the acceptance of 2M is often interrupted. */
function acceptAt(w: CallWriter, location: Location): void {
  const vcpu = w.rng.pick(w.vcpus);
  const isInterrupted = location.level === 1 && w.rng.percent(70);
  if (isInterrupted) w.accept(vcpu, location, { interruptPendingAfter: 1 + w.rng.below(300) });
  if (isInterrupted && w.rng.percent(30)) w.leave(vcpu);
  w.accept(vcpu, location);
  if (w.rng.percent(25)) w.accept(vcpu, location);
  if (w.rng.percent(15)) w.accept(vcpu, w.at(location.gpa, location.level === 0 ? 1 : 0));
}

/** A vCPU accepts any entry. */
export const acceptAny: Fragment = (w) => {
  if (!w.isRunnable) return;
  const location = w.entry((_state, { level }) => level < 2) ?? w.anyLocation(w.rng.below(2));
  acceptAt(w, w.rng.percent(80) ? location : w.anyLocation(w.rng.below(3)));
};

/** The guest reads or writes. */
export const touch: Fragment = (w) => {
  if (!w.isRunnable) return;
  const location =
    w.entry((state, { level }) => level < 2 && LEAVES.includes(state)) ?? w.anyLocation(0);
  w.touch(
    w.rng.pick(w.vcpus),
    (w.rng.percent(80) ? location : w.anyLocation(0)).gpa + w.rng.below(512) * 8,
  );
};

/** Blocks an entry and makes vCPUs leave that can have it in a TLB. */
function blockAndTrack(w: CallWriter, location: Location): void {
  const { entry } = w.walk(location);
  if (!BLOCKED.includes(stateName(stateOf(entry)))) w.onEntry('TDH.MEM.RANGE.BLOCK', location);
  if (w.rng.percent(12)) w.onEntry('TDH.MEM.RANGE.BLOCK', location);
  if (!w.rng.percent(20)) track(w);
  if (w.inside.length > 0 && w.rng.percent(70)) {
    if (w.rng.percent(50)) w.leaveAll();
    else for (const vcpu of w.inside.slice(0, 1)) w.leave(vcpu);
    if (w.rng.percent(50)) track(w);
  }
}

/** Ends an epoch, if no vCPU is left from the previous one. */
export const track: Fragment = (w) => w.host('TDH.MEM.TRACK', { regs: { rcx: w.tdr } });

/** Removes a page. */
export const remove: Fragment = (w) => {
  const location = w.entryIn(LEAVES, [0, 1, 2]);
  if (location === null) return;
  if (!w.rng.percent(15)) blockAndTrack(w, location);
  w.onEntry('TDH.MEM.PAGE.REMOVE', location);
};

/** Moves the contents of a page to another page. */
export const relocate: Fragment = (w) => {
  const location = w.entryIn(LEAVES, [0]);
  if (location === null) return;
  if (!w.rng.percent(15)) blockAndTrack(w, location);
  const { base } = w.u.tdx;
  const own = hexOf(base + BigInt(w.pageUnder(location) * PAGE_BYTES));
  w.withPage('TDH.MEM.PAGE.RELOCATE', location, w.rng.percent(8) ? own : w.freePage());
};

/** Blocks an entry, and unblocks it again. */
export const unblock: Fragment = (w) => {
  const location = w.entryIn([...LEAVES, ...TABLES], [0, 1, 2, 3]);
  if (location === null) return;
  if (!w.rng.percent(15)) blockAndTrack(w, location);
  w.onEntry('TDH.MEM.RANGE.UNBLOCK', location);
};

/** Blocks and removes a table, which may not be empty. */
export const removeTable: Fragment = (w) => {
  const location = w.entryIn(TABLES, [1, 2, 3]);
  if (location === null) return;
  blockAndTrack(w, location);
  if (!w.rng.percent(15)) w.onEntry('TDH.MEM.SEPT.REMOVE', location, { version: w.version() });
};

/** Fills a table with 512 pages of the next smaller size, and merges them. */
export const fill: Fragment = (w) => {
  const location = built(w, w.rng.percent(25) ? 2 : 1);
  build(w, { gpa: location.gpa, level: location.level - 1 });
  const stride = hexOf(BigInt(w.bytesAt(location.level - 1)));
  const hpa = location.level === 2 ? w.gigabyte : w.freeLargePage();
  const child = { gpa: location.gpa, level: location.level - 1 };
  w.withPage(
    'TDH.MEM.PAGE.AUG',
    child,
    hpa,
    {},
    { count: FULL, gpaStride: stride, hpaStride: stride },
  );
  if (w.isRunnable && location.level === 1 && w.rng.percent(40)) {
    w.accept(w.rng.pick(w.vcpus), child, {}, { count: FULL, gpaStride: stride, hpaStride: '0x0' });
  }
  merge(w, location);
};

function merge(w: CallWriter, location: Location): void {
  blockAndTrack(w, location);
  const interrupt = w.rng.percent(15) ? { interruptPendingAfter: 1 } : {};
  w.onEntry('TDH.MEM.PAGE.PROMOTE', location, { version: w.version(), ...interrupt });
}

/** Merges the 512 pages of a table, if they allow it. */
export const promote: Fragment = (w) => {
  const location = w.entryIn(TABLES, [1, 2]);
  if (location !== null) merge(w, location);
};

/** Splits one page into 512. */
export const demote: Fragment = (w) => {
  const location = w.entryIn(LEAVES, [1, 2]);
  if (location === null) return;
  if (!w.rng.percent(10)) blockAndTrack(w, location);
  const interrupt = w.rng.percent(20) ? { interruptPendingAfter: 1 } : {};
  w.withPage('TDH.MEM.PAGE.DEMOTE', location, w.freePage(), interrupt);
};
