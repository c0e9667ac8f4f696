/** The calls of life-cycle scenarios: what each function has to be given, of a TD as it is. */
import { PAGE_BYTES } from '../../../../spec/machine/memory.ts';
import { METADATA, NULL_FIELD } from '../../../../spec/tdx/metadata.ts';
import { NDA } from '../../../../spec/tdx/pamt.ts';
import { MIN_TDCX, TD, VCPU_READY, VCPU_UNINITIALIZED, VP } from '../../../../spec/tdx/td.ts';
import { hexOf } from '../format/values.ts';
import { hostWalk } from '../replay/observe.ts';
import type { Asked } from './record-step.ts';
import { OTHER_TD_PARAMS, TD_PARAM_SLIPS, USUAL_TD_PARAMS } from './td-params.ts';
import type { Keeper } from './td-tracker.ts';

/** Shared memory: pages to copy from, and TD_PARAMS. */
const SOURCE = '0x10000000';
const TD_PARAMS_PAGE = '0x10010000';
const GPAS = [0x40000000, 0x40001000, 0x40002000];

/** What a function is given, of a TD. */
type Builder = (k: Keeper, td: number) => Asked;

const tdOnly = (op: string): [string, Builder] => [
  op,
  (k, td) => ({ op, lp: k.lp(), in: { td, regs: { rcx: k.tdr(td) } } }),
];
const tdAndNull = (op: string): [string, Builder] => [
  op,
  (k, td) => ({ op, lp: k.lp(), in: { td, regs: { rcx: k.tdr(td), rdx: '0x0' } } }),
];

/** A page that is like several, one after the other. */
const series = (count: number): Pick<Asked, 'repeat'> =>
  count < 2 ? {} : { repeat: { count, gpaStride: '0x1000', hpaStride: '0x0' } };

const create: Builder = (k, td) => {
  const odd = [3, 32, 37, 0x10021];
  const hkid = k.dice.percent(80) ? k.freeHkid() : k.dice.pick([...odd, ...k.u.tdx.keys.hkids]);
  const hpa = k.tdr(td);
  return {
    op: 'TDH.MNG.CREATE',
    lp: k.lp(),
    in: { td, hkid, hpa, regs: { rcx: hpa, rdx: hexOf(BigInt(hkid)) } },
  };
};

const addTdcx: Builder = (k, td) => {
  const has = k.stage(td) === 'none' ? 0 : k.field(td, TD.NUM_TDCX);
  const hpa = k.hpa(k.slot(td).tdcx + has);
  const count = k.dice.percent(80) ? MIN_TDCX - has : 1 + k.dice.below(5);
  return {
    op: 'TDH.MNG.ADDCX',
    lp: k.lp(),
    in: { td, hpa, regs: { rcx: hpa, rdx: k.tdr(td) } },
    ...series(count),
  };
};

const initialise: Builder = (k, td) => {
  const isOdd = k.dice.percent(35);
  const good = k.dice.percent(60) ? {} : k.dice.pick(OTHER_TD_PARAMS);
  const [note, fields] = isOdd ? k.dice.pick(TD_PARAM_SLIPS) : ['', good];
  const tdParams = { ...USUAL_TD_PARAMS, ...fields };
  const rdx = k.dice.percent(8)
    ? k.dice.pick(['0x10010200', '0x8400010010000', '0x10000010010000'])
    : TD_PARAMS_PAGE;
  const input = { td, tdParams, regs: { rcx: k.tdr(td), rdx } };
  return { op: 'TDH.MNG.INIT', lp: k.lp(), in: isOdd ? { ...input, note } : input };
};

/** A field by the structure that holds it and its word there. */
function fieldName(id: bigint): string {
  const word = METADATA.get(id)?.word;
  const name = Object.entries(TD).find(([, at]) => at === word)?.[0];
  return name === undefined ? '?' : `${id >> 60n === 8n ? 'TDR' : 'TDCS'}.${name}`;
}

const readField: Builder = (k, td) => {
  const id = k.dice.weighted([
    [12, k.dice.pick([...METADATA.keys()])],
    [2, NULL_FIELD],
    [1, 0x8010_0000_0000_0077n],
  ]);
  const version = k.dice.weighted([
    [6, 0],
    [3, 1],
    [1, 2],
  ]);
  const regs = { rcx: k.tdr(td), rdx: hexOf(id) };
  return { op: 'TDH.MNG.RD', lp: k.lp(), in: { td, field: fieldName(id), version, regs } };
};

const createVcpu: Builder = (k, td) => {
  const vcpu = k.vcpuThat(td, (v) => !k.exists(td, v));
  const hpa = k.hpa(k.tdvpr(td, vcpu));
  return {
    op: 'TDH.VP.CREATE',
    lp: k.lp(),
    in: { td, vcpu, hpa, regs: { rcx: hpa, rdx: k.tdr(td) } },
  };
};

const addTdvpx: Builder = (k, td) => {
  const vcpu = k.vcpuThat(td, (v) => k.exists(td, v) && k.lacking(td, v) > 0);
  const has = k.exists(td, vcpu) ? k.vp(td, vcpu, VP.NUM_PAGES) : 1;
  const hpa = k.hpa(k.tdvpr(td, vcpu) + has);
  const count = k.dice.percent(75) ? k.lacking(td, vcpu) : 1 + k.dice.below(12);
  const regs = { rcx: hpa, rdx: k.hpa(k.tdvpr(td, vcpu)) };
  return { op: 'TDH.VP.ADDCX', lp: k.lp(), in: { td, vcpu, hpa, regs }, ...series(count) };
};

const initialiseVcpu: Builder = (k, td) => {
  const vcpu = k.vcpuThat(
    td,
    (v) => k.exists(td, v) && k.lacking(td, v) <= 0 && k.vp(td, v, VP.STATE) === VCPU_UNINITIALIZED,
  );
  const regs = { rcx: k.hpa(k.tdvpr(td, vcpu)), rdx: '0x1111' };
  return { op: 'TDH.VP.INIT', lp: vcpu, in: { td, vcpu, regs } };
};

const aboutVcpu = (
  op: string,
  isReady: (k: Keeper, td: number, vcpu: number) => boolean,
): [string, Builder] => [
  op,
  (k, td) => {
    const vcpu = k.vcpuThat(td, (v) => k.exists(td, v) && isReady(k, td, v));
    const lp = k.dice.percent(10) ? k.lp() : vcpu;
    return { op, lp, in: { vcpu, td, regs: { rcx: k.hpa(k.tdvpr(td, vcpu)) } } };
  },
];

const writeBack: Builder = (k, td) => {
  const command = k.dice.weighted([
    [8, 0],
    [4, 1],
    [1, 2],
  ]);
  const interrupt = k.dice.percent(35) ? { interruptPendingAfter: 1 + k.dice.below(4) } : {};
  const cmd = ['START', 'RESUME'][command] ?? 'invalid';
  const regs = { rcx: hexOf(BigInt(command)), rdx: '0x0' };
  return { op: 'TDH.PHYMEM.CACHE.WB', lp: k.lp(), in: { td, cmd, ...interrupt, regs } };
};

/**
 * A page of the TD, with those that follow it in the same structure; the TDR when nothing else is
 * left.
 */
const reclaim: Builder = (k, td) => {
  const { pamt } = k.u.tdx;
  const { tdr, tdcx, tdvpr } = k.slot(td);
  const isOwned = (page: number): boolean =>
    pamt.type(page, 0) !== NDA && pamt.owner(page, 0) === tdr;
  const firsts = [tdcx, ...tdvpr, ...k.spare.map((hpa) => k.u.page(hpa))].filter(isOwned);
  const page = k.dice.percent(10)
    ? tdr
    : (k.dice.pickOrNull(firsts) ?? lastOwned(k, td, isOwned) ?? tdr);
  const followers =
    page === tdr
      ? 0
      : Array.from({ length: MOST_IN_A_ROW }, (_, i) => page + 1 + i).findIndex(
          (next) => !isOwned(next),
        );
  const hpa = k.hpa(page);
  return {
    op: 'TDH.PHYMEM.PAGE.RECLAIM',
    lp: k.lp(),
    in: { td, hpa, regs: { rcx: hpa } },
    ...series(k.dice.percent(80) ? 1 + followers : 1),
  };
};

/** More than any structure has pages. */
const MOST_IN_A_ROW = 32;

/** What an interrupted series has left. */
function lastOwned(k: Keeper, td: number, isOwned: (page: number) => boolean): number | null {
  const { tdcx, tdvpr } = k.slot(td);
  const pages = [tdcx, ...tdvpr].flatMap((first) =>
    Array.from({ length: 16 }, (_, i) => first + i),
  );
  return pages.find(isOwned) ?? null;
}

const aboutPage = (op: string, more: Readonly<Record<string, string>>): [string, Builder] => [
  op,
  (k, td) => {
    const { tdr, tdcx, tdvpr } = k.slot(td);
    const own = [tdr, tdcx, ...tdvpr].map((page) => k.hpa(page));
    const hpa = k.dice.percent(60) ? k.freePage() : k.dice.pick([...own, ...k.spare]);
    return { op, lp: k.lp(), in: { td, hpa, regs: { rcx: hpa, ...more } } };
  },
];

/** A call about an entry at level 0. */
const aboutEntry = (op: string): [string, Builder] => [
  op,
  (k, td) => {
    const gpa = hexOf(BigInt(k.dice.pick(GPAS)));
    return { op, lp: k.lp(), in: { td, gpa, level: 0, regs: { rcx: gpa, rdx: k.tdr(td) } } };
  },
];
const addingPage = (op: string, more: Readonly<Record<string, string>>): [string, Builder] => [
  op,
  (k, td) => {
    const gpa = hexOf(BigInt(k.dice.pick(GPAS)));
    const hpa = k.freePage();
    const source = more['r9'] === undefined ? {} : { source: more['r9'] };
    const regs = { rcx: gpa, rdx: k.tdr(td), r8: hpa, ...more };
    return { op, lp: k.lp(), in: { td, gpa, level: 0, hpa, ...source, regs } };
  },
];

/** The table that is missing next. */
const addTable: Builder = (k, td) => {
  const gpa = k.dice.pick(GPAS);
  const hasTree = k.stage(td) === 'INITIALIZED' || k.stage(td) === 'RUNNABLE';
  const level = hasTree ? Math.max(1, hostWalk(k.u, k.slot(td), gpa, 0).at) : 3;
  const first = BigInt(gpa - (gpa % (k.u.tdx.geometry.span(level) * PAGE_BYTES)));
  const hpa = k.freePage();
  const regs = { rcx: hexOf(first + BigInt(level)), rdx: k.tdr(td), r8: hpa };
  return {
    op: 'TDH.MEM.SEPT.ADD',
    lp: k.lp(),
    in: { td, gpa: hexOf(first), level, hpa, version: 0, regs },
  };
};

const extend: Builder = (k, td) => {
  const gpa = hexOf(BigInt(k.dice.pick(GPAS) + k.dice.below(16) * 256));
  return { op: 'TDH.MR.EXTEND', lp: k.lp(), in: { td, gpa, regs: { rcx: gpa, rdx: k.tdr(td) } } };
};

/** Every call that life-cycle scenarios make, by function. */
export const CALLS: ReadonlyMap<string, Builder> = new Map<string, Builder>([
  ['TDH.MNG.CREATE', create],
  tdAndNull('TDH.MNG.KEY.CONFIG'),
  ['TDH.MNG.ADDCX', addTdcx],
  ['TDH.MNG.INIT', initialise],
  tdAndNull('TDH.MNG.VPFLUSHDONE'),
  tdAndNull('TDH.MNG.KEY.FREEID'),
  tdAndNull('TDH.MNG.KEY.RECLAIMID'),
  ['TDH.MNG.RD', readField],
  ['TDH.VP.CREATE', createVcpu],
  ['TDH.VP.ADDCX', addTdvpx],
  ['TDH.VP.INIT', initialiseVcpu],
  aboutVcpu('TDH.VP.ENTER', (k, td, vcpu) => k.vp(td, vcpu, VP.STATE) === VCPU_READY),
  aboutVcpu('TDH.VP.FLUSH', (k, td, vcpu) => k.vp(td, vcpu, VP.ASSOC_LPID) > 0),
  ['TDH.PHYMEM.CACHE.WB', writeBack],
  ['TDH.PHYMEM.PAGE.RECLAIM', reclaim],
  aboutPage('TDH.PHYMEM.PAGE.WBINVD', { rdx: '0x0' }),
  aboutPage('TDH.PHYMEM.PAGE.RDMD', {}),
  ['TDH.MEM.SEPT.ADD', addTable],
  aboutEntry('TDH.MEM.SEPT.RD'),
  addingPage('TDH.MEM.PAGE.ADD', { r9: SOURCE }),
  addingPage('TDH.MEM.PAGE.AUG', {}),
  aboutEntry('TDH.MEM.PAGE.REMOVE'),
  aboutEntry('TDH.MEM.RANGE.BLOCK'),
  aboutEntry('TDH.MEM.RANGE.UNBLOCK'),
  tdOnly('TDH.MEM.TRACK'),
  ['TDH.MR.EXTEND', extend],
  tdOnly('TDH.MR.FINALIZE'),
]);
