/** The calls of life-cycle scenarios: operands of each function, for a TD in its current state. */
import { PAGE_BYTES } from '../../../../spec/machine/memory.ts';
import { METADATA, NULL_FIELD } from '../../../../spec/tdx/metadata.ts';
import type { TdxModule } from '../../../../spec/tdx/module.ts';
import { NDA } from '../../../../spec/tdx/pamt.ts';
import { TD, VCPU_READY, VCPU_UNINITIALIZED, VP } from '../../../../spec/tdx/td.ts';
import { FIELDS_1_0 } from '../../../../spec/tdx/versions/v1.0/mng-rd.ts';
import { hexOf } from '../format/values.ts';
import { hostWalk } from '../replay/observe.ts';
import type { CallRequest } from './record-step.ts';
import { VALID_TD_PARAMS, INVALID_TD_PARAMS, USUAL_TD_PARAMS } from './td-params.ts';
import type { TdTracker } from './td-tracker.ts';

/** Pages of shared memory: one to copy from, and TD_PARAMS. */
const SOURCE = '0x10000000';
const TD_PARAMS_PAGE = '0x10010000';
const GPAS = [0x40000000, 0x40001000, 0x40002000];

/** Builds the call of a function about a TD. */
type Builder = (tds: TdTracker, td: number) => CallRequest;

const tdOnly = (op: string): [string, Builder] => [
  op,
  (tds, td) => ({ op, lp: tds.lp(), in: { td, regs: { rcx: tds.tdr(td) } } }),
];
const tdAndNull = (op: string): [string, Builder] => [
  op,
  (tds, td) => ({ op, lp: tds.lp(), in: { td, regs: { rcx: tds.tdr(td), rdx: '0x0' } } }),
];

/** Repeats a call for consecutive pages. */
const series = (count: number): Pick<CallRequest, 'repeat'> =>
  count < 2 ? {} : { repeat: { count, gpaStride: '0x1000', hpaStride: '0x0' } };

const create: Builder = (tds, td) => {
  const odd = [3, 32, 37, 0x10021];
  const hkid = tds.rng.percent(80)
    ? tds.freeHkid()
    : tds.rng.pick([...odd, ...tds.u.tdx.keys.hkids]);
  const hpa = tds.tdr(td);
  return {
    op: 'TDH.MNG.CREATE',
    lp: tds.lp(),
    in: { td, hkid, hpa, regs: { rcx: hpa, rdx: hexOf(BigInt(hkid)) } },
  };
};

const addTdcx: Builder = (tds, td) => {
  const has = tds.stage(td) === 'none' ? 0 : tds.field(td, TD.NUM_TDCX);
  const hpa = tds.hpa(tds.slot(td).tdcx + has);
  const count = tds.rng.percent(80) ? tds.u.tdx.version.tdcx.min - has : 1 + tds.rng.below(5);
  return {
    op: 'TDH.MNG.ADDCX',
    lp: tds.lp(),
    in: { td, hpa, regs: { rcx: hpa, rdx: tds.tdr(td) } },
    ...series(count),
  };
};

const initialise: Builder = (tds, td) => {
  const isOdd = tds.rng.percent(35);
  const good = tds.rng.percent(60) ? {} : tds.rng.pick(VALID_TD_PARAMS);
  const [note, fields] = isOdd ? tds.rng.pick(INVALID_TD_PARAMS) : ['', good];
  const tdParams = { ...USUAL_TD_PARAMS, ...fields };
  const rdx = tds.rng.percent(8)
    ? tds.rng.pick(['0x10010200', '0x8400010010000', '0x10000010010000'])
    : TD_PARAMS_PAGE;
  const input = { td, tdParams, regs: { rcx: tds.tdr(td), rdx } };
  return { op: 'TDH.MNG.INIT', lp: tds.lp(), in: isOdd ? { ...input, note } : input };
};

/** The words of a TD by the ids of the version's fields. */
const fieldsOf = ({ version }: TdxModule): ReadonlyMap<bigint, number> =>
  version.family === '1.0'
    ? new Map([...FIELDS_1_0].map(([id, [word]]) => [id, word]))
    : new Map([...METADATA].map(([id, { word }]) => [id, word]));

/** The name of a field: the structure that holds it, and the word. */
function fieldName(id: bigint, fields: ReadonlyMap<bigint, number>): string {
  const word = fields.get(id);
  const name = Object.entries(TD).find(([, at]) => at === word)?.[0];
  return name === undefined ? '?' : `${id >> 60n === 8n ? 'TDR' : 'TDCS'}.${name}`;
}

const readField: Builder = (tds, td) => {
  const fields = fieldsOf(tds.u.tdx);
  const id = tds.rng.weighted([
    [12, tds.rng.pick([...fields.keys()])],
    [2, NULL_FIELD],
    [1, 0x8010_0000_0000_0077n],
  ]);
  const version = tds.rng.weighted([
    [6, 0],
    [3, 1],
    [1, 2],
  ]);
  const regs = { rcx: tds.tdr(td), rdx: hexOf(id) };
  return {
    op: 'TDH.MNG.RD',
    lp: tds.lp(),
    in: { td, field: fieldName(id, fields), version, regs },
  };
};

const createVcpu: Builder = (tds, td) => {
  const vcpu = tds.vcpuThat(td, (v) => !tds.exists(td, v));
  const hpa = tds.hpa(tds.tdvpr(td, vcpu));
  return {
    op: 'TDH.VP.CREATE',
    lp: tds.lp(),
    in: { td, vcpu, hpa, regs: { rcx: hpa, rdx: tds.tdr(td) } },
  };
};

const addTdvpx: Builder = (tds, td) => {
  const vcpu = tds.vcpuThat(td, (v) => tds.exists(td, v) && tds.missingPages(td, v) > 0);
  const has = tds.exists(td, vcpu) ? tds.vp(td, vcpu, VP.NUM_PAGES) : 1;
  const hpa = tds.hpa(tds.tdvpr(td, vcpu) + has);
  const count = tds.rng.percent(75) ? tds.missingPages(td, vcpu) : 1 + tds.rng.below(12);
  const regs = { rcx: hpa, rdx: tds.hpa(tds.tdvpr(td, vcpu)) };
  return { op: 'TDH.VP.ADDCX', lp: tds.lp(), in: { td, vcpu, hpa, regs }, ...series(count) };
};

const initialiseVcpu: Builder = (tds, td) => {
  const vcpu = tds.vcpuThat(
    td,
    (v) =>
      tds.exists(td, v) &&
      tds.missingPages(td, v) <= 0 &&
      tds.vp(td, v, VP.STATE) === VCPU_UNINITIALIZED,
  );
  const regs = { rcx: tds.hpa(tds.tdvpr(td, vcpu)), rdx: '0x1111' };
  return { op: 'TDH.VP.INIT', lp: vcpu, in: { td, vcpu, regs } };
};

const aboutVcpu = (
  op: string,
  isReady: (tds: TdTracker, td: number, vcpu: number) => boolean,
): [string, Builder] => [
  op,
  (tds, td) => {
    const vcpu = tds.vcpuThat(td, (v) => tds.exists(td, v) && isReady(tds, td, v));
    const lp = tds.rng.percent(10) ? tds.lp() : vcpu;
    return { op, lp, in: { vcpu, td, regs: { rcx: tds.hpa(tds.tdvpr(td, vcpu)) } } };
  },
];

const writeBack: Builder = (tds, td) => {
  const command = tds.rng.weighted([
    [8, 0],
    [4, 1],
    [1, 2],
  ]);
  const interrupt = tds.rng.percent(35) ? { interruptPendingAfter: 1 + tds.rng.below(4) } : {};
  const cmd = ['START', 'RESUME'][command] ?? 'invalid';
  const regs = { rcx: hexOf(BigInt(command)), rdx: '0x0' };
  return { op: 'TDH.PHYMEM.CACHE.WB', lp: tds.lp(), in: { td, cmd, ...interrupt, regs } };
};

/** Reclaims a page of the TD and the ones after it in the same structure; at last the TDR. */
const reclaim: Builder = (tds, td) => {
  const { pamt } = tds.u.tdx;
  const { tdr, tdcx, tdvpr } = tds.slot(td);
  const isOwned = (page: number): boolean =>
    pamt.type(page, 0) !== NDA && pamt.owner(page, 0) === tdr;
  const firsts = [tdcx, ...tdvpr, ...tds.spare.map((hpa) => tds.u.page(hpa))].filter(isOwned);
  const page = tds.rng.percent(10)
    ? tdr
    : (tds.rng.pickOrNull(firsts) ?? lastOwned(tds, td, isOwned) ?? tdr);
  const followers =
    page === tdr
      ? 0
      : Array.from({ length: MOST_IN_A_ROW }, (_, i) => page + 1 + i).findIndex(
          (next) => !isOwned(next),
        );
  const hpa = tds.hpa(page);
  return {
    op: 'TDH.PHYMEM.PAGE.RECLAIM',
    lp: tds.lp(),
    in: { td, hpa, regs: { rcx: hpa } },
    ...series(tds.rng.percent(80) ? 1 + followers : 1),
  };
};

/** No structure has as many pages. */
const MOST_IN_A_ROW = 32;

/** A page that an interrupted series has left. */
function lastOwned(tds: TdTracker, td: number, isOwned: (page: number) => boolean): number | null {
  const { tdcx, tdvpr } = tds.slot(td);
  const pages = [tdcx, ...tdvpr].flatMap((first) =>
    Array.from({ length: 16 }, (_, i) => first + i),
  );
  return pages.find(isOwned) ?? null;
}

const aboutPage = (op: string, more: Readonly<Record<string, string>>): [string, Builder] => [
  op,
  (tds, td) => {
    const { tdr, tdcx, tdvpr } = tds.slot(td);
    const own = [tdr, tdcx, ...tdvpr].map((page) => tds.hpa(page));
    const hpa = tds.rng.percent(60) ? tds.freePage() : tds.rng.pick([...own, ...tds.spare]);
    return { op, lp: tds.lp(), in: { td, hpa, regs: { rcx: hpa, ...more } } };
  },
];

/** A call about an entry at level 0. */
const aboutEntry = (op: string): [string, Builder] => [
  op,
  (tds, td) => {
    const gpa = hexOf(BigInt(tds.rng.pick(GPAS)));
    return { op, lp: tds.lp(), in: { td, gpa, level: 0, regs: { rcx: gpa, rdx: tds.tdr(td) } } };
  },
];
const addingPage = (op: string, more: Readonly<Record<string, string>>): [string, Builder] => [
  op,
  (tds, td) => {
    const gpa = hexOf(BigInt(tds.rng.pick(GPAS)));
    const hpa = tds.freePage();
    const source = more['r9'] === undefined ? {} : { source: more['r9'] };
    const regs = { rcx: gpa, rdx: tds.tdr(td), r8: hpa, ...more };
    return { op, lp: tds.lp(), in: { td, gpa, level: 0, hpa, ...source, regs } };
  },
];

/** Adds the next table that is missing. */
const addTable: Builder = (tds, td) => {
  const gpa = tds.rng.pick(GPAS);
  const hasTree = tds.stage(td) === 'INITIALIZED' || tds.stage(td) === 'RUNNABLE';
  const level = hasTree ? Math.max(1, hostWalk(tds.u, tds.slot(td), gpa, 0).at) : 3;
  const first = BigInt(gpa - (gpa % (tds.u.tdx.geometry.span(level) * PAGE_BYTES)));
  const hpa = tds.freePage();
  const regs = { rcx: hexOf(first + BigInt(level)), rdx: tds.tdr(td), r8: hpa };
  return {
    op: 'TDH.MEM.SEPT.ADD',
    lp: tds.lp(),
    in: { td, gpa: hexOf(first), level, hpa, version: 0, regs },
  };
};

const extend: Builder = (tds, td) => {
  const gpa = hexOf(BigInt(tds.rng.pick(GPAS) + tds.rng.below(16) * 256));
  return {
    op: 'TDH.MR.EXTEND',
    lp: tds.lp(),
    in: { td, gpa, regs: { rcx: gpa, rdx: tds.tdr(td) } },
  };
};

/** The calls of life-cycle scenarios, by function. */
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
  aboutVcpu('TDH.VP.ENTER', (tds, td, vcpu) => tds.vp(td, vcpu, VP.STATE) === VCPU_READY),
  aboutVcpu('TDH.VP.FLUSH', (tds, td, vcpu) => tds.vp(td, vcpu, VP.ASSOC_LPID) > 0),
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
