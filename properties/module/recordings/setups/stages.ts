/**
 * The stages of a TD's life by the names that `lifecycle-conflicts.json` gives them, each built
 * with the life-cycle functions themselves. Source: the names, and what the functions answer alone
 * in each stage.
 */
import { PAGE_BYTES } from '../../../../spec/machine/memory.ts';
import type { TdParams } from '../../../../spec/tdx/call.ts';
import { BLOCKED, FREE, MAPPED, PENDING } from '../../../../spec/tdx/entry.ts';
import { MIN_TDCX, MIN_TDVPS_PAGES, TD } from '../../../../spec/tdx/td.ts';
import { buildEntry, buildTables, Pools } from './entries.ts';
import { lpOf, SETUP_LP, SetupError, type Stage } from './setups.ts';

/** A shared page outside the TDMR, where the VMM keeps TD_PARAMS. */
export const TD_PARAMS_PAGE = 0x10010000;

export const TD_PARAMS: TdParams = {
  attributes: 1n,
  xfam: 3n,
  maxVcpus: 4,
  numL2Vms: 0,
  msrConfigCtls: 0,
  eptpControls: 0x1en,
  configFlags: 0n,
  tscFrequency: 100,
  archCapConfig: 0n,
  reservedNonZero: 0,
  cpuidConfig: 0,
};

/** Where the entries of a TD are that is past MNG.INIT: one of each kind that a function needs. */
export const ENTRIES = {
  free: 0,
  mapped: PAGE_BYTES,
  pending: 2 * PAGE_BYTES,
  removable: 3 * PAGE_BYTES,
  blocked: 4 * PAGE_BYTES,
  /** FREE at level 1. */
  table: 0x200000,
} as const;

/** The leaves, in the order of their private pages. */
const LEAVES = [
  [ENTRIES.mapped, MAPPED],
  [ENTRIES.pending, PENDING],
  [ENTRIES.removable, BLOCKED],
  [ENTRIES.blocked, BLOCKED],
] as const;

/** Secure EPT pages and private pages of a TD are its own. */
const firstTable = (td: number): number => 0x100264000 + td * 0x64000;
/** Private pages are leaves number 0 to 3 of a TD; leaf 0 is at 0x100267000 for TD 0. */
const LEAF_BASE = 0x100267000;
export const leafOf = (td: number, which: number): number =>
  LEAF_BASE + td * 0x64000 + which * PAGE_BYTES;

/** The private key id of the TD of a slot. */
export const hkidOf = (td: number): number => 33 + td;

export class TdBuilder {
  private readonly stage: Stage;
  readonly td: number;

  constructor(stage: Stage, td: number) {
    this.stage = stage;
    this.td = td;
  }

  private get tdr(): number {
    return this.stage.tdrAddress(this.td);
  }

  create(): void {
    this.stage.expect('TDH.MNG.CREATE', { rcx: this.tdr, rdx: hkidOf(this.td) });
  }

  configureKey(): void {
    this.stage.expect('TDH.MNG.KEY.CONFIG', { rcx: this.tdr });
  }

  addTdcx(from: number, to: number): void {
    for (let i = from; i < to; i++) {
      this.stage.expect('TDH.MNG.ADDCX', { rcx: this.tdr + (i + 1) * PAGE_BYTES, rdx: this.tdr });
    }
  }

  initialise(): void {
    this.stage.expect('TDH.MNG.INIT', { rcx: this.tdr, rdx: TD_PARAMS_PAGE, tdParams: TD_PARAMS });
  }

  createVcpu(vcpu: number): void {
    const tdvpr = this.tdvpr(vcpu);
    this.stage.expect('TDH.VP.CREATE', { rcx: tdvpr, rdx: this.tdr });
    for (let i = 1; i < MIN_TDVPS_PAGES; i++) {
      this.stage.expect('TDH.VP.ADDCX', { rcx: tdvpr + i * PAGE_BYTES, rdx: tdvpr });
    }
  }

  initialiseVcpu(vcpu: number): void {
    this.stage.expect('TDH.VP.INIT', { rcx: this.tdvpr(vcpu), lp: lpOf(this.td, vcpu) });
  }

  flush(vcpu: number): void {
    this.stage.expect('TDH.VP.FLUSH', { rcx: this.tdvpr(vcpu), lp: lpOf(this.td, vcpu) });
  }

  private tdvpr(vcpu: number): number {
    return this.stage.address(this.stage.tdvpr(this.td, vcpu));
  }

  /** One entry of each kind, in one table. */
  buildEntries(): void {
    const pools = new Pools(firstTable(this.td));
    buildTables(this.stage, pools, this.td, ENTRIES.free, 0);
    LEAVES.forEach(([gpa, state], i) => {
      const spec = { state, level: 0, children: FREE, isUntracked: false };
      buildEntry(this.stage, pools, this.td, gpa, spec, { leaf: leafOf(this.td, i), children: 0 });
    });
  }

  run(): void {
    this.stage.expect('TDH.MR.FINALIZE', { rcx: this.tdr });
    this.stage.expect('TDH.MEM.TRACK', { rcx: this.tdr });
  }

  flushDone(): void {
    this.stage.expect('TDH.MNG.VPFLUSHDONE', { rcx: this.tdr });
  }

  writeBack(): void {
    this.stage.expect('TDH.PHYMEM.CACHE.WB', { rcx: 0, lp: SETUP_LP });
  }

  freeKey(): void {
    this.stage.expect('TDH.MNG.KEY.FREEID', { rcx: this.tdr });
  }

  /** Reclaims every page that the TD owns. */
  reclaimPages(): void {
    const { pamt } = this.stage.tdx;
    const { tdr } = this.stage.slot(this.td);
    for (let page = 0; page < pamt.pages; page++) {
      if (page === tdr || pamt.type(page, 0) === 0 || pamt.owner(page, 0) !== tdr) continue;
      this.stage.expect('TDH.PHYMEM.PAGE.RECLAIM', { rcx: this.stage.address(page) });
    }
  }

  /** TDCX pages that the TD has now; 0 when there is no TD. */
  get tdcx(): number {
    return this.stage.m.peek(this.stage.tdCell(this.td, TD.NUM_TDCX));
  }
}

const HKID_ASSIGNED: Build = (td) => td.create();
const TDCX_3: Build = (td) => {
  HKID_ASSIGNED(td);
  td.configureKey();
  td.addTdcx(0, 3);
};
const TDCX_6: Build = (td) => {
  TDCX_3(td);
  td.addTdcx(3, MIN_TDCX);
};
const INITIALIZED: Build = (td) => {
  TDCX_6(td);
  td.initialise();
  td.createVcpu(0);
  td.createVcpu(1);
  td.initialiseVcpu(0);
  td.buildEntries();
};
const RUNNABLE: Build = (td) => {
  INITIALIZED(td);
  td.initialiseVcpu(1);
  td.flush(0);
  td.run();
};
const NOT_ASSOCIATED: Build = (td) => {
  RUNNABLE(td);
  td.flush(1);
};
const KEY_BLOCKED: Build = (td) => {
  NOT_ASSOCIATED(td);
  td.flushDone();
};
const WRITTEN_BACK: Build = (td) => {
  KEY_BLOCKED(td);
  td.writeBack();
};
const TEARDOWN: Build = (td) => {
  WRITTEN_BACK(td);
  td.freeKey();
};
const ONLY_TDR: Build = (td) => {
  TEARDOWN(td);
  td.reclaimPages();
};

type Build = (td: TdBuilder) => void;

interface StageRow {
  readonly build: Build;
  /** The build writes back the cache, of every TD's key that is flushed by then. */
  readonly writesBack?: true;
}

export const INITIALIZED_STAGE =
  'INITIALIZED (VCPU0 ready+associated, VCPU1 6 pages uninitialised)';

const STAGES: ReadonlyMap<string, StageRow> = new Map<string, StageRow>([
  ['TDR page free', { build: () => undefined }],
  ['HKID_ASSIGNED', { build: HKID_ASSIGNED }],
  ['KEYS_CONFIGURED, 3 TDCX', { build: TDCX_3 }],
  ['KEYS_CONFIGURED, 6 TDCX, not initialised', { build: TDCX_6 }],
  [INITIALIZED_STAGE, { build: INITIALIZED }],
  ['RUNNABLE (VCPU0 not associated, VCPU1 associated)', { build: RUNNABLE }],
  ['RUNNABLE, no VCPU associated', { build: NOT_ASSOCIATED }],
  ['BLOCKED, cache not written back', { build: KEY_BLOCKED }],
  ['BLOCKED, cache written back', { build: WRITTEN_BACK, writesBack: true }],
  ['TEARDOWN', { build: TEARDOWN, writesBack: true }],
  ['TEARDOWN, only the TDR left', { build: ONLY_TDR, writesBack: true }],
]);

export const STAGE_NAMES: readonly string[] = [...STAGES.keys()];

/**
 * Brings TD `i` into `stages[i]`. TDs that write back the cache come first: the others' keys stay
 * as they are. Throws a SetupError for a stage that has no set-up.
 */
export function buildStages(stage: Stage, stages: readonly string[]): TdBuilder[] {
  const rows = stages.map((name) => {
    const row = STAGES.get(name);
    if (row === undefined) throw new SetupError(`there is no set-up for the stage ${name}`);
    return row;
  });
  const builders = rows.map((_, td) => new TdBuilder(stage, td));
  for (const first of [true, false]) {
    rows.forEach(({ build, writesBack }, td) => {
      if ((writesBack === true) === first) build(builders[td] as TdBuilder); // one for each row
    });
  }
  return builders;
}
