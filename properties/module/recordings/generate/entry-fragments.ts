/**
 * The fragments of sequential scenarios, and their weights. A fragment is a few calls about one
 * entry or vCPU. Alone each fragment succeeds; it fails because of what other fragments have left,
 * of calls that are skipped, and of invalid operands.
 */
import { PAGE_BYTES } from '../../../../spec/machine/memory.ts';
import { isGuestAccessible } from '../../../../spec/tdx/entry.ts';
import { NDA } from '../../../../spec/tdx/pamt.ts';
import { hexOf } from '../format/values.ts';
import type { CallWriter } from './call-writer.ts';
import { type Location } from './td-view.ts';
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
  type Fragment,
} from './tree-fragments.ts';

const read: Fragment = (w) => {
  const location = w.entryIn([...LEAVES, ...TABLES], [0, 1, 2]) ?? w.anyLocation(0);
  w.onEntry('TDH.MEM.SEPT.RD', w.rng.percent(70) ? location : w.anyLocation(w.rng.below(6)));
};

/** A debugger reads or writes eight bytes. */
const debug: Fragment = (w) => {
  const location = w.entryIn(['MAPPED', 'PENDING', 'BLOCKED'], [0, 1]) ?? w.anyLocation(0);
  const gpa = hexOf(BigInt(location.gpa + w.rng.below(512) * 8));
  const regs = { rcx: gpa, rdx: w.tdr };
  const data = hexOf(BigInt(w.rng.below(2 ** 31)) * 0x1_2345_6789n);
  if (w.rng.percent(60)) w.host('TDH.MEM.WR', { gpa, data, regs: { ...regs, r8: data } });
  w.host('TDH.MEM.RD', { gpa, regs });
};

const aboutPage =
  (op: string): Fragment =>
  (w) => {
    const location = w.entryIn([...LEAVES, ...TABLES], [0, 1, 2, 3]);
    const page = location === null ? 0 : w.pageUnder(location);
    const inside = w.rng.percent(15) ? 1 : 0;
    const hpa = w.rng.percent(20)
      ? w.freePage()
      : hexOf(w.u.tdx.base + BigInt((page + inside) * PAGE_BYTES));
    w.host(op, { hpa, regs: { rcx: hpa } });
  };

const finalize: Fragment = (w) => {
  if (w.isRunnable && !w.rng.percent(20)) return;
  w.host('TDH.MR.FINALIZE', { regs: { rcx: w.tdr } });
};

const vcpus: Fragment = (w) => {
  const vcpu = w.rng.pick(w.vcpus);
  if (w.isInside(vcpu) && w.rng.percent(10)) w.onVcpu('TDH.VP.FLUSH', vcpu);
  if (w.isInside(vcpu) && w.rng.percent(50)) w.leave(vcpu);
  if (!w.isInside(vcpu) && w.rng.percent(40)) w.onVcpu('TDH.VP.FLUSH', vcpu);
  if (w.isRunnable || w.rng.percent(15)) w.onVcpu('TDH.VP.ENTER', vcpu);
  if (w.rng.percent(10)) w.onVcpu('TDH.VP.ENTER', vcpu);
};

const setting = (w: CallWriter, data: string, note: string): void =>
  w.call({ op: 'HARNESS.SET_LIFECYCLE', lp: 4, in: { td: 0, data, note } });

/** Sets a field of the TD, makes some calls, and resets it. */
const whileSet =
  (on: readonly [string, string], off: readonly [string, string], calls: number): Fragment =>
  (w) => {
    w.leaveAll();
    setting(w, ...on);
    for (let i = 0; i < calls; i++) anything(w);
    setting(w, ...off);
  };

const fatal = whileSet(['0x100', 'TDR.FATAL=1'], ['0x101', 'TDR.FATAL=0'], 7);

/** Calls with one invalid operand after the other. */
const invalidOperands: Fragment = (w) =>
  w.withInvalidOperands(() => w.rng.pick([addPage, augment, relocate, demote, debug])(w));

/** TDH.MR.FINALIZE of a TD without vCPUs, which a recording can reach only by setting the field. */
const noVcpus: Fragment = (w) => {
  if (w.isRunnable) return;
  setting(w, '0x200', 'TDCS.NUM_VCPUS=0');
  w.host('TDH.MR.FINALIZE', { regs: { rcx: w.tdr } });
  setting(w, '0x201', 'TDCS.NUM_VCPUS restored');
};

/** Any function, with any entry, whatever its state. */
const anything: Fragment = (w) => {
  const known = w.entry(() => true) ?? w.anyLocation(1);
  const location = w.rng.percent(65)
    ? known
    : w.anyLocation(
        w.rng.weighted([
          [4, 0],
          [3, 1],
          [2, 2],
          [1, 3],
          [1, 4],
        ]),
      );
  w.rng.pick(ANY)(w, location);
};

const ANY: readonly ((w: CallWriter, location: Location) => void)[] = [
  addTable,
  (w, location) => w.onEntry('TDH.MEM.SEPT.REMOVE', location, { version: w.version() }),
  (w, location) => w.onEntry('TDH.MEM.SEPT.RD', location),
  (w, location) =>
    w.withPage('TDH.MEM.PAGE.ADD', location, w.freePage(), {
      source: SOURCE,
      regs: { r9: SOURCE },
    }),
  (w, location) => w.withPage('TDH.MEM.PAGE.AUG', location, w.freePage()),
  (w, location) => w.onEntry('TDH.MEM.PAGE.REMOVE', location),
  (w, { gpa }) => w.withPage('TDH.MEM.PAGE.RELOCATE', w.at(gpa, 0), w.freePage()),
  (w, location) => w.onEntry('TDH.MEM.PAGE.PROMOTE', location, { version: w.version() }),
  (w, location) => w.withPage('TDH.MEM.PAGE.DEMOTE', location, w.freePage()),
  (w, location) => w.onEntry('TDH.MEM.RANGE.BLOCK', location),
  (w, location) => w.onEntry('TDH.MEM.RANGE.UNBLOCK', location),
  (w, location) => extend(w, location.gpa),
  track,
  debug,
  finalize,
  vcpus,
  aboutPage('TDH.PHYMEM.PAGE.RECLAIM'),
  aboutPage('TDH.PHYMEM.PAGE.RDMD'),
];

/** A guest that faults at one instruction until the zero-step filter is armed. */
const stuck: Fragment = (w) => {
  const location = w.anyLocation(0);
  const vcpu = w.rng.pick(w.vcpus);
  if (!w.isRunnable || isGuestAccessible(w.walk(location).entry)) return;
  for (let i = 0; i <= w.u.tdx.platform.steppingThreshold; i++) w.touch(vcpu, location.gpa);
  if (w.rng.percent(60)) {
    build(w, location);
    w.withPage('TDH.MEM.PAGE.AUG', location, w.freePage());
    w.accept(w.rng.pick(w.vcpus), location);
  }
  w.enter(vcpu);
};

/** The end of a TD: no keys, no vCPU in the guest; its pages are reclaimed one after the other. */
export const tearDown: Fragment = (w) => {
  w.leaveAll();
  setting(w, '0x2', 'BLOCKED');
  for (let i = 0; i < 4; i++) anything(w);
  setting(w, '0x3', 'TEARDOWN');
  for (let i = 0; i < 2; i++) anything(w);
  const { pamt, base } = w.u.tdx;
  const owned = Array.from({ length: SMALL_PAGES }, (_, page) => page).filter(
    (page) =>
      pamt.sizeOf(page) === 0 && pamt.owner(page, 0) === w.slot.tdr && pamt.type(page, 0) !== NDA,
  );
  const all = owned.length < FEW_PAGES && w.rng.percent(60);
  for (const page of [
    ...w.rng.shuffled(owned).slice(0, all ? FEW_PAGES : SOME_PAGES),
    w.slot.tdr,
  ]) {
    const hpa = hexOf(base + BigInt(page * PAGE_BYTES));
    w.host('TDH.PHYMEM.PAGE.RECLAIM', { hpa, regs: { rcx: hpa } });
  }
};

/** Number of pages before the GiB that a scenario can use as one page. */
const SMALL_PAGES = 0x2000;
/** All pages of a TD with fewer pages than this are reclaimed. */
const FEW_PAGES = 40;
const SOME_PAGES = 8;

/** The fragments at the beginning of a scenario. */
export const OPENING: readonly Fragment[] = [
  addTables,
  addTables,
  addPage,
  augment,
  (w) => {
    if (w.rng.percent(60)) finalize(w);
  },
];

/** The other fragments and their weights. */
export const FRAGMENTS: readonly (readonly [weight: number, fragment: Fragment])[] = [
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
  [4, invalidOperands],
  [2, aboutPage('TDH.PHYMEM.PAGE.RDMD')],
  [2, aboutPage('TDH.PHYMEM.PAGE.RECLAIM')],
];
