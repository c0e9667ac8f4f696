/**
 * What happens in sequential scenarios: short stories about one entry or VCPU, each of which would go well, were it not
 * for what other stories have left behind, for calls that are forgotten and for operands that slip.
 */
import { isWalkable, stateName, stateOf } from '../../spec/tdx/entry.ts';
import { hexOf } from './compare-step.ts';
import { PAGE_BYTES, type Author, type Place } from './generate-author.ts';

export type Story = (a: Author) => void;

const LEAVES = ['MAPPED', 'PENDING', 'BLOCKED', 'PENDING_BLOCKED'];
const TABLES = ['NL_MAPPED', 'NL_BLOCKED'];
const BLOCKED = ['BLOCKED', 'PENDING_BLOCKED', 'NL_BLOCKED'];
/** Shared memory from which pages are copied, and 512 calls for 512 entries. */
const SOURCE = '0x10000000';
const FULL = 512;
/** A register that names no page. */
const NOT_GIVEN = '0xffffffffffffffff';

/** Adds the tables that a place lacks. */
function build(a: Author, place: Place): void {
  for (let tries = a.rootLevel; tries > place.level; tries--) {
    const { at, entry } = a.walk(place);
    if (at === place.level) return;
    if (stateName(stateOf(entry)) !== 'FREE') return;
    addTable(a, a.at(place.gpa, at));
  }
}

function addTable(a: Author, place: Place): void {
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

const addTables: Story = (a) => { build(a, a.anywhere(a.dice.pick([0, 0, 1, 2]))); };

/** While the TD is built: a page with contents, measured in part. */
const addPage: Story = (a) => {
  const place = built(a, 0);
  const source = SOURCE;
  a.adding('TDH.MEM.PAGE.ADD', place, a.freePage(), { source, regs: { r9: source } });
  for (let chunk = a.dice.below(3); chunk > 0; chunk--) extend(a, place.gpa + a.dice.below(16) * 256);
};

const extend = (a: Author, gpa: number): void =>
  a.host('TDH.MR.EXTEND', { gpa: hexOf(BigInt(gpa)), regs: { rcx: hexOf(BigInt(gpa)), rdx: a.tdr } });

/** A page for a running TD, which a VCPU accepts. */
const augment: Story = (a) => {
  const level = a.dice.percent(45) ? 1 : 0;
  const place = built(a, level);
  a.adding('TDH.MEM.PAGE.AUG', place, level === 0 ? a.freePage() : a.freeLargePage());
  if (a.isRunnable && a.dice.percent(75)) acceptAt(a, place);
};

/** A VCPU accepts; 2 MiB often not in one go. */
function acceptAt(a: Author, place: Place): void {
  const vcpu = a.dice.pick(a.vcpus);
  const rests = place.level === 1 && a.dice.percent(70);
  if (rests) a.accept(vcpu, place, { interruptPendingAfter: 1 + a.dice.below(300) });
  if (rests && a.dice.percent(30)) a.leave(vcpu);
  a.accept(vcpu, place);
  if (a.dice.percent(25)) a.accept(vcpu, place);
  if (a.dice.percent(15)) a.accept(vcpu, a.at(place.gpa, place.level === 0 ? 1 : 0));
}

const acceptAny: Story = (a) => {
  if (!a.isRunnable) return;
  const place = a.entry((_state, { level }) => level < 2) ?? a.anywhere(a.dice.below(2));
  acceptAt(a, a.dice.percent(80) ? place : a.anywhere(a.dice.below(3)));
};

const touch: Story = (a) => {
  if (!a.isRunnable) return;
  const place = a.entry((state, { level }) => level < 2 && LEAVES.includes(state)) ?? a.anywhere(0);
  a.touch(a.dice.pick(a.vcpus), (a.dice.percent(80) ? place : a.anywhere(0)).gpa + a.dice.below(512) * 8);
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

const track: Story = (a) => a.host('TDH.MEM.TRACK', { regs: { rcx: a.tdr } });

const remove: Story = (a) => {
  const place = a.entryIn(LEAVES, [0, 1, 2]);
  if (place === null) return;
  if (!a.dice.percent(15)) retire(a, place);
  a.about('TDH.MEM.PAGE.REMOVE', place);
};

const relocate: Story = (a) => {
  const place = a.entryIn(LEAVES, [0]);
  if (place === null) return;
  if (!a.dice.percent(15)) retire(a, place);
  const { base } = a.u.tdx;
  const own = hexOf(base + BigInt(a.pageUnder(place) * PAGE_BYTES));
  a.adding('TDH.MEM.PAGE.RELOCATE', place, a.dice.percent(8) ? own : a.freePage());
};

const unblock: Story = (a) => {
  const place = a.entryIn([...LEAVES, ...TABLES], [0, 1, 2, 3]);
  if (place === null) return;
  if (!a.dice.percent(15)) retire(a, place);
  a.about('TDH.MEM.RANGE.UNBLOCK', place);
};

/** A table goes, with what is below it, if the author thinks of that. */
const removeTable: Story = (a) => {
  const place = a.entryIn(TABLES, [1, 2, 3]);
  if (place === null) return;
  retire(a, place);
  if (!a.dice.percent(15)) a.about('TDH.MEM.SEPT.REMOVE', place, { version: a.version() });
};

/** Fills a table with 512 pages of the next smaller size, so that they can be one page. */
const fill: Story = (a) => {
  const place = built(a, a.dice.percent(25) ? 2 : 1);
  build(a, { gpa: place.gpa, level: place.level - 1 });
  const stride = hexOf(BigInt(a.bytesAt(place.level - 1)));
  const hpa = place.level === 2 ? a.gigabyte : a.freeLargePage();
  const child = { gpa: place.gpa, level: place.level - 1 };
  a.adding('TDH.MEM.PAGE.AUG', child, hpa, {}, { count: FULL, gpaStride: stride, hpaStride: stride });
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

const promote: Story = (a) => {
  const place = a.entryIn(TABLES, [1, 2]);
  if (place !== null) merge(a, place);
};

const demote: Story = (a) => {
  const place = a.entryIn(LEAVES, [1, 2]);
  if (place === null) return;
  if (!a.dice.percent(10)) retire(a, place);
  const interrupt = a.dice.percent(20) ? { interruptPendingAfter: 1 } : {};
  a.adding('TDH.MEM.PAGE.DEMOTE', place, a.freePage(), interrupt);
};

const read: Story = (a) => {
  const place = a.entryIn([...LEAVES, ...TABLES], [0, 1, 2]) ?? a.anywhere(0);
  a.about('TDH.MEM.SEPT.RD', a.dice.percent(70) ? place : a.anywhere(a.dice.below(6)));
};

/** A debugger looks at, or changes, eight bytes. */
const debug: Story = (a) => {
  const place = a.entryIn(['MAPPED', 'PENDING', 'BLOCKED'], [0, 1]) ?? a.anywhere(0);
  const gpa = hexOf(BigInt(place.gpa + a.dice.below(512) * 8));
  const regs = { rcx: gpa, rdx: a.tdr };
  const data = hexOf(BigInt(a.dice.below(2 ** 31)) * 0x1_2345_6789n);
  if (a.dice.percent(60)) a.host('TDH.MEM.WR', { gpa, data, regs: { ...regs, r8: data } });
  a.host('TDH.MEM.RD', { gpa, regs });
};

const aboutPage = (op: string): Story => (a) => {
  const place = a.entryIn([...LEAVES, ...TABLES], [0, 1, 2, 3]);
  const page = place === null ? 0 : a.pageUnder(place);
  const inside = a.dice.percent(15) ? 1 : 0;
  const hpa = a.dice.percent(20) ? a.freePage() : hexOf(a.u.tdx.base + BigInt((page + inside) * PAGE_BYTES));
  a.host(op, { hpa, regs: { rcx: hpa } });
};

const finalize: Story = (a) => {
  if (a.isRunnable && !a.dice.percent(20)) return;
  a.host('TDH.MR.FINALIZE', { regs: { rcx: a.tdr } });
};

const vcpus: Story = (a) => {
  const vcpu = a.dice.pick(a.vcpus);
  if (a.isInside(vcpu) && a.dice.percent(10)) a.vcpuCall('TDH.VP.FLUSH', vcpu);
  if (a.isInside(vcpu) && a.dice.percent(50)) a.leave(vcpu);
  if (!a.isInside(vcpu) && a.dice.percent(40)) a.vcpuCall('TDH.VP.FLUSH', vcpu);
  if (a.isRunnable || a.dice.percent(15)) a.vcpuCall('TDH.VP.ENTER', vcpu);
  if (a.dice.percent(10)) a.vcpuCall('TDH.VP.ENTER', vcpu);
};

const setting = (a: Author, data: string, note: string): void =>
  a.ask({ op: 'HARNESS.SET_LIFECYCLE', lp: 4, in: { td: 0, data, note } });

/** A field of the TD is set for a while. */
const forAWhile = (on: readonly [string, string], off: readonly [string, string], calls: number): Story => (a) => {
  a.leaveAll();
  setting(a, ...on);
  for (let i = 0; i < calls; i++) anything(a);
  setting(a, ...off);
};

const fatal = forAWhile(['0x100', 'TDR.FATAL=1'], ['0x101', 'TDR.FATAL=0'], 7);

/** Nothing but a TD without VCPUs is refused by TDH.MR.FINALIZE for that. */
const noVcpus: Story = (a) => {
  if (a.isRunnable) return;
  setting(a, '0x200', 'TDCS.NUM_VCPUS=0');
  a.host('TDH.MR.FINALIZE', { regs: { rcx: a.tdr } });
  setting(a, '0x201', 'TDCS.NUM_VCPUS restored');
};

/** Any function, of the entry that comes to mind, whatever its state. */
const anything: Story = (a) => {
  const known = a.entry(() => true) ?? a.anywhere(1);
  const place = a.dice.percent(65) ? known : a.anywhere(a.dice.weighted([[4, 0], [3, 1], [2, 2], [1, 3], [1, 4]]));
  a.dice.pick(ANY)(a, place);
};

const ANY: readonly ((a: Author, place: Place) => void)[] = [
  addTable,
  (a, place) => a.about('TDH.MEM.SEPT.REMOVE', place, { version: a.version() }),
  (a, place) => a.about('TDH.MEM.SEPT.RD', place),
  (a, place) => a.adding('TDH.MEM.PAGE.ADD', place, a.freePage(), { source: SOURCE, regs: { r9: SOURCE } }),
  (a, place) => a.adding('TDH.MEM.PAGE.AUG', place, a.freePage()),
  (a, place) => a.about('TDH.MEM.PAGE.REMOVE', place),
  (a, place) => a.adding('TDH.MEM.PAGE.RELOCATE', place, a.freePage()),
  (a, place) => a.about('TDH.MEM.PAGE.PROMOTE', place, { version: a.version() }),
  (a, place) => a.adding('TDH.MEM.PAGE.DEMOTE', place, a.freePage()),
  (a, place) => a.about('TDH.MEM.RANGE.BLOCK', place),
  (a, place) => a.about('TDH.MEM.RANGE.UNBLOCK', place),
  (a, place) => extend(a, place.gpa),
  track, debug, finalize, vcpus, aboutPage('TDH.PHYMEM.PAGE.RECLAIM'), aboutPage('TDH.PHYMEM.PAGE.RDMD'),
];

/** A guest that does not get past one instruction, until the module looks at what it touches. */
const stuck: Story = (a) => {
  const place = a.anywhere(0);
  const vcpu = a.dice.pick(a.vcpus);
  if (!a.isRunnable || isWalkable(a.walk(place).entry)) return;
  for (let i = 0; i <= a.u.tdx.platform.steppingThreshold; i++) a.touch(vcpu, place.gpa);
  if (a.dice.percent(60)) {
    build(a, place);
    a.adding('TDH.MEM.PAGE.AUG', place, a.freePage());
    a.accept(a.dice.pick(a.vcpus), place);
  }
  a.enter(vcpu);
};

/** The end of a TD: no keys, no VCPU, and page after page goes back to the VMM. */
export const tearDown: Story = (a) => {
  a.leaveAll();
  setting(a, '0x2', 'BLOCKED');
  for (let i = 0; i < 4; i++) anything(a);
  setting(a, '0x3', 'TEARDOWN');
  for (let i = 0; i < 2; i++) anything(a);
  const { pamt, base } = a.u.tdx;
  const owned = Array.from({ length: 0x2000 }, (_, page) => page)
    .filter((page) => pamt.sizeOf(page) === 0 && pamt.owner(page, 0) === a.slot.tdr && pamt.type(page, 0) !== 0);
  const all = owned.length < FEW_PAGES && a.dice.percent(60);
  for (const page of [...a.dice.shuffled(owned).slice(0, all ? FEW_PAGES : SOME_PAGES), a.slot.tdr]) {
    const hpa = hexOf(base + BigInt(page * PAGE_BYTES));
    a.host('TDH.PHYMEM.PAGE.RECLAIM', { hpa, regs: { rcx: hpa } });
  }
};

/** A TD that has few pages is reclaimed to the end. */
const FEW_PAGES = 40;
const SOME_PAGES = 8;

/** How a scenario usually begins. */
export const BEGINNINGS: readonly Story[] = [
  addTables, addTables, addPage, augment, (a) => { if (a.dice.percent(60)) finalize(a); },
];

/** The stories, and how often each is told. */
export const STORIES: readonly (readonly [weight: number, story: Story])[] = [
  [3, addTables], [5, addPage], [7, augment], [5, acceptAny], [4, touch], [5, remove], [7, relocate], [5, unblock],
  [5, removeTable], [3, fill], [3, promote], [7, demote], [4, read], [4, debug], [4, finalize], [5, vcpus], [2, track],
  [10, anything], [1, fatal], [1, noVcpus], [1, stuck],
  [2, aboutPage('TDH.PHYMEM.PAGE.RDMD')], [2, aboutPage('TDH.PHYMEM.PAGE.RECLAIM')],
];
