/**
 * What happens in sequential scenarios: short stories about one entry or vCPU, each of which would
 * go well, were it not for what other stories have left behind, for calls that are forgotten and
 * for operands that slip.
 */
import { PAGE_BYTES } from '../../../../spec/machine/memory.ts';
import { isGuestAccessible } from '../../../../spec/tdx/entry.ts';
import { NDA } from '../../../../spec/tdx/pamt.ts';
import { hexOf } from '../format/values.ts';
import type { Author } from './call-writer.ts';
import { type Place } from './td-view.ts';
import {
  acceptAny,
  addPage,
  addTable,
  addTables,
  augment,
  build,
  demote,
  extend,
  fill,
  LEAVES,
  promote,
  relocate,
  remove,
  removeTable,
  SOURCE,
  TABLES,
  touch,
  track,
  unblock,
  type Story,
} from './tree-scenarios.ts';

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

const aboutPage =
  (op: string): Story =>
  (a) => {
    const place = a.entryIn([...LEAVES, ...TABLES], [0, 1, 2, 3]);
    const page = place === null ? 0 : a.pageUnder(place);
    const inside = a.dice.percent(15) ? 1 : 0;
    const hpa = a.dice.percent(20)
      ? a.freePage()
      : hexOf(a.u.tdx.base + BigInt((page + inside) * PAGE_BYTES));
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
const forAWhile =
  (on: readonly [string, string], off: readonly [string, string], calls: number): Story =>
  (a) => {
    a.leaveAll();
    setting(a, ...on);
    for (let i = 0; i < calls; i++) anything(a);
    setting(a, ...off);
  };

const fatal = forAWhile(['0x100', 'TDR.FATAL=1'], ['0x101', 'TDR.FATAL=0'], 7);

/** One operand after the other is mistaken. */
const confused: Story = (a) =>
  a.confused(() => a.dice.pick([addPage, augment, relocate, demote, debug])(a));

/** Nothing but a TD without vCPUs is refused by TDH.MR.FINALIZE for that. */
const noVcpus: Story = (a) => {
  if (a.isRunnable) return;
  setting(a, '0x200', 'TDCS.NUM_VCPUS=0');
  a.host('TDH.MR.FINALIZE', { regs: { rcx: a.tdr } });
  setting(a, '0x201', 'TDCS.NUM_VCPUS restored');
};

/** Any function, of the entry that comes to mind, whatever its state. */
const anything: Story = (a) => {
  const known = a.entry(() => true) ?? a.anywhere(1);
  const place = a.dice.percent(65)
    ? known
    : a.anywhere(
        a.dice.weighted([
          [4, 0],
          [3, 1],
          [2, 2],
          [1, 3],
          [1, 4],
        ]),
      );
  a.dice.pick(ANY)(a, place);
};

const ANY: readonly ((a: Author, place: Place) => void)[] = [
  addTable,
  (a, place) => a.about('TDH.MEM.SEPT.REMOVE', place, { version: a.version() }),
  (a, place) => a.about('TDH.MEM.SEPT.RD', place),
  (a, place) =>
    a.adding('TDH.MEM.PAGE.ADD', place, a.freePage(), { source: SOURCE, regs: { r9: SOURCE } }),
  (a, place) => a.adding('TDH.MEM.PAGE.AUG', place, a.freePage()),
  (a, place) => a.about('TDH.MEM.PAGE.REMOVE', place),
  (a, { gpa }) => a.adding('TDH.MEM.PAGE.RELOCATE', a.at(gpa, 0), a.freePage()),
  (a, place) => a.about('TDH.MEM.PAGE.PROMOTE', place, { version: a.version() }),
  (a, place) => a.adding('TDH.MEM.PAGE.DEMOTE', place, a.freePage()),
  (a, place) => a.about('TDH.MEM.RANGE.BLOCK', place),
  (a, place) => a.about('TDH.MEM.RANGE.UNBLOCK', place),
  (a, place) => extend(a, place.gpa),
  track,
  debug,
  finalize,
  vcpus,
  aboutPage('TDH.PHYMEM.PAGE.RECLAIM'),
  aboutPage('TDH.PHYMEM.PAGE.RDMD'),
];

/** A guest that does not get past one instruction, until the module looks at what it touches. */
const stuck: Story = (a) => {
  const place = a.anywhere(0);
  const vcpu = a.dice.pick(a.vcpus);
  if (!a.isRunnable || isGuestAccessible(a.walk(place).entry)) return;
  for (let i = 0; i <= a.u.tdx.platform.steppingThreshold; i++) a.touch(vcpu, place.gpa);
  if (a.dice.percent(60)) {
    build(a, place);
    a.adding('TDH.MEM.PAGE.AUG', place, a.freePage());
    a.accept(a.dice.pick(a.vcpus), place);
  }
  a.enter(vcpu);
};

/** The end of a TD: no keys, no vCPU, and page after page goes back to the VMM. */
export const tearDown: Story = (a) => {
  a.leaveAll();
  setting(a, '0x2', 'BLOCKED');
  for (let i = 0; i < 4; i++) anything(a);
  setting(a, '0x3', 'TEARDOWN');
  for (let i = 0; i < 2; i++) anything(a);
  const { pamt, base } = a.u.tdx;
  const owned = Array.from({ length: SMALL_PAGES }, (_, page) => page).filter(
    (page) =>
      pamt.sizeOf(page) === 0 && pamt.owner(page, 0) === a.slot.tdr && pamt.type(page, 0) !== NDA,
  );
  const all = owned.length < FEW_PAGES && a.dice.percent(60);
  for (const page of [
    ...a.dice.shuffled(owned).slice(0, all ? FEW_PAGES : SOME_PAGES),
    a.slot.tdr,
  ]) {
    const hpa = hexOf(base + BigInt(page * PAGE_BYTES));
    a.host('TDH.PHYMEM.PAGE.RECLAIM', { hpa, regs: { rcx: hpa } });
  }
};

/** Pages before the GiB that a scenario may use as one page. */
const SMALL_PAGES = 0x2000;
/** A TD that has few pages is reclaimed to the end. */
const FEW_PAGES = 40;
const SOME_PAGES = 8;

/** How a scenario usually begins. */
export const BEGINNINGS: readonly Story[] = [
  addTables,
  addTables,
  addPage,
  augment,
  (a) => {
    if (a.dice.percent(60)) finalize(a);
  },
];

/** The stories, and how often each is told. */
export const STORIES: readonly (readonly [weight: number, story: Story])[] = [
  [3, addTables],
  [5, addPage],
  [7, augment],
  [5, acceptAny],
  [4, touch],
  [5, remove],
  [7, relocate],
  [5, unblock],
  [5, removeTable],
  [3, fill],
  [3, promote],
  [7, demote],
  [4, read],
  [4, debug],
  [4, finalize],
  [5, vcpus],
  [2, track],
  [10, anything],
  [1, fatal],
  [1, noVcpus],
  [1, stuck],
  [4, confused],
  [2, aboutPage('TDH.PHYMEM.PAGE.RDMD')],
  [2, aboutPage('TDH.PHYMEM.PAGE.RECLAIM')],
];
