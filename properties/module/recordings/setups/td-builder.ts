/**
 * Takes a TD through its life with the life-cycle functions, one step at a time. Pages are those of
 * `lifecycle-conflicts.json`.
 */
import { PAGE_BYTES } from '../../../../spec/machine/memory.ts';
import type { TdParams } from '../../../../spec/tdx/call.ts';
import { BLOCKED, FREE, MAPPED, PENDING } from '../../../../spec/tdx/entry.ts';
import { PLAIN_TD_PARAMS } from '../../../../spec/tdx/td-params.ts';
import { TD } from '../../../../spec/tdx/td.ts';
import { buildEntry, buildTables, PagePool } from './entries.ts';
import { lpOf, SETUP_LP, type Testbed } from './testbed.ts';

/** A shared page outside the TDMR that holds TD_PARAMS. */
export const TD_PARAMS_PAGE = 0x10010000;

/** A debug TD. */
export const TD_PARAMS: TdParams = { ...PLAIN_TD_PARAMS, attributes: 1n, maxVcpus: 4 };

/** GPAs of the entries of a TD that is initialised: one of each kind that a function needs. */
export const ENTRIES = {
  free: 0,
  mapped: PAGE_BYTES,
  pending: 2 * PAGE_BYTES,
  removable: 3 * PAGE_BYTES,
  blocked: 4 * PAGE_BYTES,
  /** A FREE entry that maps 2M. */
  table: 0x200000,
} as const;

/** The leaves, in the order of their private pages. */
const LEAVES = [
  [ENTRIES.mapped, MAPPED],
  [ENTRIES.pending, PENDING],
  [ENTRIES.removable, BLOCKED],
  [ENTRIES.blocked, BLOCKED],
] as const;

/** HPA of the first Secure EPT page of a TD. */
const firstTable = (td: number): number => 0x100264000 + td * 0x64000;
/** HPA of leaf 0 of TD 0. A TD has the leaves 0 to 3. */
const LEAF_BASE = 0x100267000;
export const leafOf = (td: number, which: number): number =>
  LEAF_BASE + td * 0x64000 + which * PAGE_BYTES;

/** The private HKID of the TD of a slot. */
export const hkidOf = (td: number): number => 33 + td;

export class TdBuilder {
  private readonly testbed: Testbed;
  readonly td: number;

  constructor(testbed: Testbed, td: number) {
    this.testbed = testbed;
    this.td = td;
  }

  private get tdr(): number {
    return this.testbed.tdrAddress(this.td);
  }

  create(): void {
    this.testbed.expect('TDH.MNG.CREATE', { rcx: this.tdr, rdx: hkidOf(this.td) });
  }

  configureKey(): void {
    this.testbed.expect('TDH.MNG.KEY.CONFIG', { rcx: this.tdr });
  }

  addTdcx(from: number, to: number): void {
    for (let i = from; i < to; i++) {
      this.testbed.expect('TDH.MNG.ADDCX', { rcx: this.tdr + (i + 1) * PAGE_BYTES, rdx: this.tdr });
    }
  }

  initialise(): void {
    this.testbed.expect('TDH.MNG.INIT', {
      rcx: this.tdr,
      rdx: TD_PARAMS_PAGE,
      tdParams: TD_PARAMS,
    });
  }

  createVcpu(vcpu: number, pages = this.tdvpsNeeded): void {
    this.testbed.expect('TDH.VP.CREATE', { rcx: this.tdvpr(vcpu), rdx: this.tdr });
    this.addTdvps(vcpu, 1, pages);
  }

  /** Adds the pages from number `from` up to `to`; page 0 is the TDVPR. */
  addTdvps(vcpu: number, from: number, to: number): void {
    const tdvpr = this.tdvpr(vcpu);
    for (let i = from; i < to; i++) {
      this.testbed.expect('TDH.VP.ADDCX', { rcx: tdvpr + i * PAGE_BYTES, rdx: tdvpr });
    }
  }

  initialiseVcpu(vcpu: number): void {
    this.testbed.expect('TDH.VP.INIT', { rcx: this.tdvpr(vcpu), lp: lpOf(this.td, vcpu) });
  }

  flush(vcpu: number): void {
    this.testbed.expect('TDH.VP.FLUSH', { rcx: this.tdvpr(vcpu), lp: lpOf(this.td, vcpu) });
  }

  private tdvpr(vcpu: number): number {
    return this.testbed.address(this.testbed.tdvpr(this.td, vcpu));
  }

  /** Builds one entry of each kind, in one table. */
  buildEntries(): void {
    const pool = new PagePool(firstTable(this.td));
    buildTables(this.testbed, pool, this.td, ENTRIES.free, 0);
    LEAVES.forEach(([gpa, state], i) => {
      const spec = { state, level: 0, children: FREE, isTracked: false, isUntracked: false };
      buildEntry(this.testbed, pool, this.td, gpa, spec, {
        leaf: () => leafOf(this.td, i),
        children: () => 0,
      });
    });
  }

  finalize(): void {
    this.testbed.expect('TDH.MR.FINALIZE', { rcx: this.tdr });
  }

  run(): void {
    this.finalize();
    this.testbed.expect('TDH.MEM.TRACK', { rcx: this.tdr });
  }

  flushDone(): void {
    this.testbed.expect('TDH.MNG.VPFLUSHDONE', { rcx: this.tdr });
  }

  writeBack(): void {
    this.testbed.expect('TDH.PHYMEM.CACHE.WB', { rcx: 0, lp: SETUP_LP });
  }

  freeKey(): void {
    this.testbed.expect('TDH.MNG.KEY.FREEID', { rcx: this.tdr });
  }

  /** Reclaims every page that the TD owns. */
  reclaimPages(): void {
    const { pamt } = this.testbed.tdx;
    const { tdr } = this.testbed.slot(this.td);
    for (let page = 0; page < pamt.pages; page++) {
      if (page === tdr || pamt.type(page, 0) === 0 || pamt.owner(page, 0) !== tdr) continue;
      this.testbed.expect('TDH.PHYMEM.PAGE.RECLAIM', { rcx: this.testbed.address(page) });
    }
  }

  /** Number of TDCX pages that a TD needs. */
  get tdcxNeeded(): number {
    return this.testbed.tdx.version.tdcx.min;
  }

  /** Number of pages of a vCPU, its TDVPR included, that its initialisation needs. */
  get tdvpsNeeded(): number {
    return this.testbed.tdx.version.tdvps.min;
  }

  /** Number of TDCX pages that the TD has now; 0 if there is no TD. */
  get tdcx(): number {
    return this.testbed.m.peek(this.testbed.tdCell(this.td, TD.NUM_TDCX));
  }
}
