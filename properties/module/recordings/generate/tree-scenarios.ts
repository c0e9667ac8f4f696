/**
 * Stories about the tree and its pages: they are added, accepted, blocked, taken out, merged and
 * split.
 */
import { PAGE_BYTES } from '../../../../spec/machine/memory.ts';
import { stateName, stateOf } from '../../../../spec/tdx/entry.ts';
import { hexOf } from '../format/values.ts';
import type { Author } from './call-writer.ts';
import { type Place } from './td-view.ts';

/** Something that happens in a scenario. */
export type Story = (a: Author) => void;

/** States of entries that a page or a table is under. */
export const LEAVES = ['MAPPED', 'PENDING', 'BLOCKED', 'PENDING_BLOCKED'];
export const TABLES = ['NL_MAPPED', 'NL_BLOCKED'];
const BLOCKED = ['BLOCKED', 'PENDING_BLOCKED', 'NL_BLOCKED'];
/** Shared memory from which pages are copied, and 512 calls for 512 entries. */
export const SOURCE = '0x10000000';
const FULL = 512;
/** A register that names no page. */
const NOT_GIVEN = '0xffffffffffffffff';

/** Adds the tables that a place lacks. */
export function build(a: Author, place: Place): void {
  for (let tries = a.rootLevel; tries > place.level; tries--) {
    const { at, entry } = a.walk(place);
    if (at === place.level) return;
    if (stateName(stateOf(entry)) !== 'FREE') return;
    addTable(a, a.at(place.gpa, at));
  }
}

/** Adds a table under an entry, whatever its state. */
export function addTable(a: Author, place: Place): void {
  const version = a.version();
  const more = version === 0 ? {} : { r9: a.dice.percent(80) ? NOT_GIVEN : a.freePage() };
  a.adding('TDH.MEM.SEPT.ADD', place, a.freePage(), { version, regs: more });
}

/** A place with all its tables, if it can have them. */
function built(a: Author, level: number): Place {
  const place = a.anywhere(level);
  build(a, place);
  return place;
}

/** A few tables for entries to come. */
export const addTables: Story = (a) => {
  build(a, a.anywhere(a.dice.pick([0, 0, 1, 2])));
};

/** While the TD is built: a page with contents, measured in part. */
export const addPage: Story = (a) => {
  const place = built(a, 0);
  const source = SOURCE;
  a.adding('TDH.MEM.PAGE.ADD', place, a.freePage(), { source, regs: { r9: source } });
  for (let chunk = a.dice.below(3); chunk > 0; chunk--)
    extend(a, place.gpa + a.dice.below(16) * 256);
};

/** Measures 256 bytes. */
export const extend = (a: Author, gpa: number): void =>
  a.host('TDH.MR.EXTEND', {
    gpa: hexOf(BigInt(gpa)),
    regs: { rcx: hexOf(BigInt(gpa)), rdx: a.tdr },
  });

/** A page for a running TD, which a vCPU accepts. */
export const augment: Story = (a) => {
  const level = a.dice.percent(45) ? 1 : 0;
  const place = built(a, level);
  a.adding('TDH.MEM.PAGE.AUG', place, level === 0 ? a.freePage() : a.freeLargePage());
  if (a.isRunnable && a.dice.percent(75)) acceptAt(a, place);
};

/** A vCPU accepts; 2 MiB often not in one go. */
function acceptAt(a: Author, place: Place): void {
  const vcpu = a.dice.pick(a.vcpus);
  const rests = place.level === 1 && a.dice.percent(70);
  if (rests) a.accept(vcpu, place, { interruptPendingAfter: 1 + a.dice.below(300) });
  if (rests && a.dice.percent(30)) a.leave(vcpu);
  a.accept(vcpu, place);
  if (a.dice.percent(25)) a.accept(vcpu, place);
  if (a.dice.percent(15)) a.accept(vcpu, a.at(place.gpa, place.level === 0 ? 1 : 0));
}

/** A vCPU accepts what may not be there to be accepted. */
export const acceptAny: Story = (a) => {
  if (!a.isRunnable) return;
  const place = a.entry((_state, { level }) => level < 2) ?? a.anywhere(a.dice.below(2));
  acceptAt(a, a.dice.percent(80) ? place : a.anywhere(a.dice.below(3)));
};

/** The guest reads or writes. */
export const touch: Story = (a) => {
  if (!a.isRunnable) return;
  const place = a.entry((state, { level }) => level < 2 && LEAVES.includes(state)) ?? a.anywhere(0);
  a.touch(
    a.dice.pick(a.vcpus),
    (a.dice.percent(80) ? place : a.anywhere(0)).gpa + a.dice.below(512) * 8,
  );
};

/** Blocks an entry and waits for whoever may still have it in a TLB. */
function retire(a: Author, place: Place): void {
  const { entry } = a.walk(place);
  if (!BLOCKED.includes(stateName(stateOf(entry)))) a.about('TDH.MEM.RANGE.BLOCK', place);
  if (a.dice.percent(12)) a.about('TDH.MEM.RANGE.BLOCK', place);
  if (!a.dice.percent(20)) track(a);
  if (a.inside.length > 0 && a.dice.percent(70)) {
    if (a.dice.percent(50)) a.leaveAll();
    else for (const vcpu of a.inside.slice(0, 1)) a.leave(vcpu);
    if (a.dice.percent(50)) track(a);
  }
}

/** An epoch ends, if no vCPU is left from the one before. */
export const track: Story = (a) => a.host('TDH.MEM.TRACK', { regs: { rcx: a.tdr } });

/** A page is taken out. */
export const remove: Story = (a) => {
  const place = a.entryIn(LEAVES, [0, 1, 2]);
  if (place === null) return;
  if (!a.dice.percent(15)) retire(a, place);
  a.about('TDH.MEM.PAGE.REMOVE', place);
};

/** A page's contents move to another page. */
export const relocate: Story = (a) => {
  const place = a.entryIn(LEAVES, [0]);
  if (place === null) return;
  if (!a.dice.percent(15)) retire(a, place);
  const { base } = a.u.tdx;
  const own = hexOf(base + BigInt(a.pageUnder(place) * PAGE_BYTES));
  a.adding('TDH.MEM.PAGE.RELOCATE', place, a.dice.percent(8) ? own : a.freePage());
};

/** An entry is blocked, and unblocked again. */
export const unblock: Story = (a) => {
  const place = a.entryIn([...LEAVES, ...TABLES], [0, 1, 2, 3]);
  if (place === null) return;
  if (!a.dice.percent(15)) retire(a, place);
  a.about('TDH.MEM.RANGE.UNBLOCK', place);
};

/** A table is blocked and taken out, whether or not it is empty. */
export const removeTable: Story = (a) => {
  const place = a.entryIn(TABLES, [1, 2, 3]);
  if (place === null) return;
  retire(a, place);
  if (!a.dice.percent(15)) a.about('TDH.MEM.SEPT.REMOVE', place, { version: a.version() });
};

/** Fills a table with 512 pages of the next smaller size, so that they can be one page. */
export const fill: Story = (a) => {
  const place = built(a, a.dice.percent(25) ? 2 : 1);
  build(a, { gpa: place.gpa, level: place.level - 1 });
  const stride = hexOf(BigInt(a.bytesAt(place.level - 1)));
  const hpa = place.level === 2 ? a.gigabyte : a.freeLargePage();
  const child = { gpa: place.gpa, level: place.level - 1 };
  a.adding(
    'TDH.MEM.PAGE.AUG',
    child,
    hpa,
    {},
    { count: FULL, gpaStride: stride, hpaStride: stride },
  );
  if (a.isRunnable && place.level === 1 && a.dice.percent(40)) {
    a.accept(a.dice.pick(a.vcpus), child, {}, { count: FULL, gpaStride: stride, hpaStride: '0x0' });
  }
  merge(a, place);
};

function merge(a: Author, place: Place): void {
  retire(a, place);
  const interrupt = a.dice.percent(15) ? { interruptPendingAfter: 1 } : {};
  a.about('TDH.MEM.PAGE.PROMOTE', place, { version: a.version(), ...interrupt });
}

/** 512 pages become one, if they can. */
export const promote: Story = (a) => {
  const place = a.entryIn(TABLES, [1, 2]);
  if (place !== null) merge(a, place);
};

/** One page becomes 512. */
export const demote: Story = (a) => {
  const place = a.entryIn(LEAVES, [1, 2]);
  if (place === null) return;
  if (!a.dice.percent(10)) retire(a, place);
  const interrupt = a.dice.percent(20) ? { interruptPendingAfter: 1 } : {};
  a.adding('TDH.MEM.PAGE.DEMOTE', place, a.freePage(), interrupt);
};
