/**
 * A platform with one TD and nobody but the module: no KVM, no policy. Small as the one of
 * impl/platform/platform.ts, and built by the same life-cycle functions; a table has two entries,
 * so that a huge page is two pages.
 */
import { smallPlatform } from '../../../impl/platform/platform.ts';
import { buildTd, TDVPR_PAGES } from '../../../impl/vm/build-td.ts';
import { Machine } from '../../../spec/machine/machine.ts';
import { Memory, PAGE_BYTES } from '../../../spec/machine/memory.ts';
import { atomically, type Steps } from '../../../spec/machine/step.ts';
import { OPERANDS_ZERO, type Call, type Operands, type TdParams } from '../../../spec/tdx/call.ts';
import { FUNCTIONS } from '../../../spec/tdx/functions/index.ts';
import { tdExit } from '../../../spec/tdx/guest/td-exit.ts';
import { TdxModule, type InterfaceFunction, type Platform } from '../../../spec/tdx/module.ts';
import { describeStatus, SUCCESS } from '../../../spec/tdx/status.ts';
import { TD, VCPU_ACTIVE, VP } from '../../../spec/tdx/td.ts';
import type { ModuleVersion } from '../../../spec/tdx/versions.ts';

export interface WorldOptions {
  readonly module: ModuleVersion;
  /** Whether the TD can run, or is still being built (default: it can run). */
  readonly finalize?: boolean;
  readonly params?: Partial<TdParams>;
  /** Level of the root's entries; as TD_PARAMS say when absent. */
  readonly rootLevel?: number;
  /** Bits of an S-EPT index (default: 1). */
  readonly indexBits?: number;
  /** These instead of the functions of the same names. */
  readonly functions?: readonly InterfaceFunction[];
  /** What the platform has otherwise than the small one of impl/platform/platform.ts. */
  readonly platform?: Partial<Platform>;
  /** Pages behind those of the guest, for what else a history builds (default: none). */
  readonly extraPages?: number;
  /** How far a TD is built; false: not at all, the caller builds it (default: as `finalize` says). */
  readonly build?: boolean;
  /** Another module than the specified one. */
  readonly create?: (memory: Memory, platform: Platform) => TdxModule;
}

/** Levels of the tree of random programs: 2 for the root's entries, so the guest has eight pages. */
export const ROOT_LEVEL = 2;

/**
 * Page numbers: the TDR with its TDCX pages, two vCPUs with theirs, then tables and the guest's
 * memory.
 */
export const TDR = 0;
export const TDVPRS = [8, 8 + TDVPR_PAGES] as const;
const FIRST_TABLE = 20;
/** Tables that there can be of a level, and levels that have them. */
const TABLES = 4;
const TABLE_LEVELS = 4;

/** What is in a page that was used. */
const USED = 0x5ec;

export class ModuleWorld {
  readonly m: Machine;
  readonly memory: Memory;
  readonly tdx: TdxModule;
  /** First of the pages that back the guest, one a GFN; behind them as many that nothing uses yet. */
  readonly firstPage = FIRST_TABLE + TABLES * TABLE_LEVELS;
  readonly gfns: number;
  private readonly functions: ReadonlyMap<string, InterfaceFunction>;

  constructor(options: WorldOptions) {
    const {
      module,
      finalize = true,
      params = {},
      rootLevel,
      indexBits = 1,
      functions = [],
      platform: different = {},
      extraPages = 0,
      build = true,
      create,
    } = options;
    this.gfns = 1 << (3 * indexBits);
    this.m = new Machine();
    this.memory = new Memory(this.m, this.firstPage + 2 * this.gfns + extraPages, 128);
    const platform = { ...smallPlatform(module, indexBits), ...different };
    this.tdx = create?.(this.memory, platform) ?? new TdxModule(this.memory, platform);
    this.functions = new Map([...FUNCTIONS, ...functions.map((fn) => [fn.name, fn] as const)]);
    if (!build) return;
    atomically(buildTd(this.tdx, TDR, TDVPRS, { params, finalize }));
    if (rootLevel !== undefined) this.m.poke(this.memory.word(TDR, TD.ROOT_LEVEL), rootLevel);
  }

  /** HPA (bytes) of a page number. */
  address(page: number): number {
    return (page + this.tdx.platform.tdmrBase) * PAGE_BYTES;
  }

  /** The operands of a function with a GPA, a level and the TD. */
  mapping(gfn: number, level: number): { readonly rcx: number; readonly rdx: number } {
    return {
      rcx: this.tdx.geometry.align(gfn, level) * PAGE_BYTES + level,
      rdx: this.address(TDR),
    };
  }

  /** The page that backs `gfn`, or the huge page that its range begins with. */
  pageOf(gfn: number, level = 0): number {
    return this.firstPage + this.tdx.geometry.align(gfn, level);
  }

  /** A page that backs no GFN from the start. */
  sparePage(gfn: number): number {
    return this.firstPage + this.gfns + gfn;
  }

  /** One of the pages behind those of the guest. */
  extraPage(i: number): number {
    return this.firstPage + 2 * this.gfns + i;
  }

  /** The page that becomes the table which an entry of `level` for `gfn` points to. */
  tablePage(gfn: number, level: number): number {
    return (
      FIRST_TABLE +
      (level - 1) * TABLES +
      (Math.floor(gfn / this.tdx.geometry.span(level)) % TABLES)
    );
  }

  /** Calls a function by its name, step by step. */
  *invoke(name: string, operands: Partial<Operands>): Steps<Call> {
    const fn = this.functions.get(name);
    if (fn === undefined) throw new Error(`no function ${name}`);
    return yield* this.tdx.invoke(fn, { ...OPERANDS_ZERO, ...operands });
  }

  /** Calls a function with nobody in between. */
  call(name: string, operands: Partial<Operands> = {}): Call {
    return atomically(this.invoke(name, operands));
  }

  /** Calls a function with nobody in between; it must succeed. */
  must(name: string, operands: Partial<Operands> = {}): Call {
    const call = this.call(name, operands);
    if (call.status !== SUCCESS) throw new Error(`${name} answers ${describeStatus(call.status)}`);
    return call;
  }

  /** Adds the tables that `gfn` needs, from the root down to `level`. */
  addTables(gfn: number, level = 1): void {
    for (let at = this.m.peek(this.memory.word(TDR, TD.ROOT_LEVEL)); at >= level; at--) {
      this.must('TDH.MEM.SEPT.ADD', {
        ...this.mapping(gfn, at),
        r8: this.address(this.tablePage(gfn, at)),
      });
    }
  }

  /** Whoever has the page leaves something in it, within the current step. */
  use(page: number): void {
    this.m.poke(this.memory.word(page, 0), USED);
  }

  isInside(vcpu: number): boolean {
    return this.m.peek(this.memory.word(this.tdvpr(vcpu), VP.STATE)) === VCPU_ACTIVE;
  }

  tdvpr(vcpu: number): number {
    return TDVPRS[vcpu] ?? -1;
  }

  /** The vCPU leaves the TD for an interrupt. */
  exit(vcpu: number): Steps<void> {
    return tdExit(this.tdx, this.tdvpr(vcpu));
  }
}
