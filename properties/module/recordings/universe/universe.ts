/**
 * The platform on which a recording was made, built from its `config`.
 *
 * A sequential recording starts with TDs that the recorder initialised directly, in the state that
 * CREATE, KEY.CONFIG, ADDCX, INIT, VP.CREATE, VP.ADDCX and VP.INIT leave, except that no vCPU is
 * associated with an LP. A life-cycle recording starts with an empty platform. Source: the states
 * that the first steps of the recordings report.
 */
import { Machine } from '../../../../spec/machine/machine.ts';
import { Memory } from '../../../../spec/machine/memory.ts';
import { HKID_KOT_ASSIGNED, HKID_RESERVED } from '../../../../spec/tdx/keys.ts';
import { TdxModule, type Platform } from '../../../../spec/tdx/module.ts';
import {
  NO_OWNER,
  Pamt,
  RSVD,
  TDCX,
  TDR,
  TDVPR,
  type PageType,
} from '../../../../spec/tdx/pamt.ts';
import { INITIALIZED, KEYS_CONFIGURED, TD, VCPU_READY, VP } from '../../../../spec/tdx/td.ts';
import { versionData, type ModuleVersion } from '../../../../spec/tdx/versions/index.ts';
import { isSequential, type Config, type SequentialConfig } from '../format/config.ts';
import { versionOf } from '../format/module-version.ts';
import { Tokens } from '../format/registers.ts';

/** The pages of a TD. Page numbers count from the start of the TDMR. */
export interface Slot {
  readonly td: number;
  readonly tdr: number;
  /** The first TDCX page, where the TDCS begins. */
  readonly tdcx: number;
  /** The TDVPR page of each vCPU. */
  readonly tdvpr: readonly number[];
}

const PAGE_SHIFT = 12n;
/** Private HKIDs of sequential recordings, which do not list them. The first is the module's. */
const SEQUENTIAL_HKIDS = [32, 63] as const;
/**
 * Pages of the module's own memory (first, number), by family of the recorded module. Recordings of
 * 1.5 show 0x40001000 in it, those of 1.0 show 0x240000000 in it and 0x40001000 outside; 0x10000000
 * is outside in both.
 */
const SEAMRR: ReadonlyMap<string, readonly [number, number]> = new Map([
  ['1.5', [0x40000, 0x2000]],
  ['1.0', [0x240000, 0x2000]],
]);
const NO_PAGES = [0, 0] as const;
/** More EPT violations than this at one guest RIP arm the zero-step filter. */
const STEPPING_THRESHOLD = 6;
/** Entries of a table, which fill a page. */
const ENTRIES = 512;

export class Universe {
  readonly tdx: TdxModule;
  readonly slots: ReadonlyMap<number, Slot>;
  /** Represents 64-bit data. */
  readonly tokens = new Tokens();
  /** NUM_VCPUS that HARNESS.SET_LIFECYCLE has to restore, by TDR. */
  readonly vcpuCounts = new Map<number, number>();
  /** Level of the root in dumps, by TD; see replay/harness.ts. */
  readonly dumpLevels = new Map<number, number>();
  private readonly config: Config;

  /** The recording is sequential, not a life-cycle recording. */
  get isSequential(): boolean {
    return isSequential(this.config);
  }

  constructor(tdx: TdxModule, config: Config) {
    this.tdx = tdx;
    this.config = config;
    const described = isSequential(config)
      ? config.tds.map((td) => ({ ...td, tdcx: td.tdcx[0] }))
      : config.tdSlots;
    this.slots = new Map(
      described.map(({ td, tdr, tdcx, tdvpr }) => [
        td,
        {
          td,
          tdr: this.page(tdr),
          tdcx: this.page(tdcx),
          tdvpr: tdvpr.map((hpa) => this.page(hpa)),
        },
      ]),
    );
  }

  /** Page number of an HPA inside the TDMR. */
  page(hpa: string): number {
    return Number((BigInt(hpa) - this.tdx.base) >> PAGE_SHIFT);
  }

  /** Initialises memory. The machine must have been reset. */
  initialise(): void {
    const { m, keys } = this.tdx;
    m.poke(keys.state(keys.first), HKID_RESERVED);
    this.assign(this.page(this.config.reservedPage), RSVD, NO_OWNER);
    if (isSequential(this.config)) for (const td of this.config.tds) this.createTd(this.config, td);
  }

  private createTd(config: SequentialConfig, td: SequentialConfig['tds'][number]): void {
    const tdr = this.page(td.tdr);
    const [firstTdcx, tdcxPages] = td.tdcx;
    const vcpus = td.tdvpr.map((hpa) => this.page(hpa));
    this.assign(tdr, TDR, NO_OWNER);
    for (let i = 0; i < tdcxPages; i++) this.assign(this.page(firstTdcx) + i, TDCX, tdr);
    vcpus.forEach((tdvpr, index) => this.createVcpu(tdr, tdvpr, index, td.hkid));
    this.tdx.m.poke(this.tdx.keys.state(td.hkid), HKID_KOT_ASSIGNED);
    this.set(tdr, {
      [TD.LIFECYCLE]: KEYS_CONFIGURED,
      [TD.HKID]: td.hkid,
      [TD.PKG_CONFIG_BITMAP]: 1,
      [TD.NUM_TDCX]: tdcxPages,
      [TD.CHLDCNT]: tdcxPages + vcpus.length * this.tdx.version.tdvps.min,
      [TD.SEPT_ROOT]: this.page(td.septRoot),
      [TD.ROOT_LEVEL]: config.septLevels - 1,
      [TD.OP_STATE]: INITIALIZED,
      [TD.TD_EPOCH]: 1,
      [TD.NUM_VCPUS]: vcpus.length,
      [TD.MAX_VCPUS]: vcpus.length,
      [TD.DEBUG]: config.debug,
      [TD.SEPT_VE_DISABLE]: config.septVeDisable,
      [TD.GPAW]: config.gpaw,
    });
  }

  private createVcpu(tdr: number, tdvpr: number, index: number, hkid: number): void {
    this.assign(tdvpr, TDVPR, tdr);
    const { min, type } = this.tdx.version.tdvps;
    for (let i = 1; i < min; i++) this.assign(tdvpr + i, type, tdr);
    this.set(tdvpr, {
      [VP.STATE]: VCPU_READY,
      [VP.VCPU_INDEX]: index,
      [VP.NUM_PAGES]: min,
      [VP.TDR]: tdr,
      [VP.ASSOC_HKID]: hkid,
    });
  }

  private assign(page: number, type: PageType, owner: number): void {
    this.tdx.m.poke(this.tdx.pamt.meta(page, 0), Pamt.pack(type, owner));
  }

  private set(page: number, words: Readonly<Record<number, number>>): void {
    for (const [word, value] of Object.entries(words))
      this.tdx.m.poke(this.tdx.memory.word(page, Number(word)), value);
  }
}

/** Reads a word of a TDR or TDVPR page. */
export const word = (u: Universe, page: number, field: number): number =>
  u.tdx.m.peek(u.tdx.memory.word(page, field));

/** The platform that a configuration describes. */
function platformOf(config: Config, chosen: ModuleVersion): Platform {
  const version = versionData(chosen);
  return {
    version,
    fanout: ENTRIES,
    tdmrBase: Number(BigInt(config.tdmr.base) >> PAGE_SHIFT),
    hkidShift: config.hkidBits[0],
    privateHkids: isSequential(config) ? SEQUENTIAL_HKIDS : config.privateHkids,
    seamrr: SEAMRR.get(version.family) ?? NO_PAGES,
    packages: isSequential(config) ? 1 : config.packages,
    cacheSubBlocks: isSequential(config) ? 1 : config.cachedSubBlocks,
    steppingThreshold: STEPPING_THRESHOLD,
  };
}

/**
 * Builds universes one after the other on one machine: the table of a million entries for a TDMR is
 * built once, and reset between scenarios. Only the universe built last is valid.
 */
export class Universes {
  private memory: Memory | null = null;
  private pamt: Pamt | null = null;
  private readonly modules = new Map<string, TdxModule>();
  private readonly version: ModuleVersion | undefined;

  /** `version`: of every universe; else of the module that its configuration names. */
  constructor(version?: ModuleVersion) {
    this.version = version;
  }

  /** @throws InputError at `where` if the configuration names a version that is not specified */
  build(config: Config, where = 'config'): Universe {
    const pages = Number(BigInt(config.tdmr.size) >> PAGE_SHIFT);
    if (this.memory?.pages !== pages) this.start(pages);
    const tdx = this.moduleFor(platformOf(config, versionOf(config.module, this.version, where)));
    tdx.m.reset();
    const universe = new Universe(tdx, config);
    universe.initialise();
    return universe;
  }

  private start(pages: number): void {
    this.memory = new Memory(new Machine(), pages, ENTRIES);
    this.pamt = null;
    this.modules.clear();
  }

  private moduleFor(platform: Platform): TdxModule {
    const key = JSON.stringify({ ...platform, version: platform.version.name });
    const known = this.modules.get(key);
    if (known !== undefined) return known;
    const memory = this.memory as Memory; // start() has run
    const tdx = new TdxModule(memory, platform, this.pamt ?? undefined);
    this.pamt = tdx.pamt;
    if (this.modules.size === 0) memory.m.seal();
    this.modules.set(key, tdx);
    return tdx;
  }
}
