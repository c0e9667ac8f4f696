/**
 * A platform with a TDX module and nothing else: no KVM, no policy. As small as the one of
 * impl/platform/platform.ts; a table has two entries, so a huge page is two pages.
 */
import { smallPlatform } from '../../../impl/platform/platform.ts';
import { TDVPR_PAGES } from '../../../impl/vm/build-td.ts';
import { Machine } from '../../../spec/machine/machine.ts';
import { Memory, PAGE_BYTES } from '../../../spec/machine/memory.ts';
import { atomically, type Steps } from '../../../spec/machine/step.ts';
import { OPERANDS_ZERO, type Call, type Operands } from '../../../spec/tdx/call.ts';
import { tdExit } from '../../../spec/tdx/guest/td-exit.ts';
import { TdxModule, type InterfaceFunction, type Platform } from '../../../spec/tdx/module.ts';
import { describeStatus, SUCCESS } from '../../../spec/tdx/status.ts';
import { TD } from '../../../spec/tdx/td.ts';
import { versionData, type ModuleVersion } from '../../../spec/tdx/versions/index.ts';

export interface RigOptions {
  readonly module: ModuleVersion;
  /** Number of entries of an S-EPT table (default: 2). */
  readonly fanout?: number;
  /** Functions that replace the module's functions of the same names. */
  readonly functions?: readonly InterfaceFunction[];
  /** Differences from the small platform of impl/platform/platform.ts. */
  readonly platform?: Partial<Platform>;
  /** Number of pages behind those of the guest, for other TDs and vCPUs (default: none). */
  readonly extraPages?: number;
  /** Creates the module (default: the specified one). */
  readonly create?: (memory: Memory, platform: Platform) => TdxModule;
}

/** Level of the root's entries: the tree has three levels, and the guest has eight pages. */
export const ROOT_LEVEL = 2;

/**
 * Page numbers: the TDR with its TDCX pages, two vCPUs with theirs, then tables and the guest's
 * memory.
 */
export const TDR = 0;
export const TDVPRS = [8, 8 + TDVPR_PAGES] as const;
const FIRST_TABLE = 20;
/** Number of tables of a level, and number of levels with tables. */
const TABLES = 4;
const TABLE_LEVELS = 4;
const WORDS_PER_PAGE = 128;

/** Content of a page that was written to. */
const USED = 0x5ec;

export class ModuleRig {
  readonly m: Machine;
  readonly memory: Memory;
  readonly tdx: TdxModule;
  /** First of the pages that back the guest, one for each GFN; as many spare pages follow. */
  readonly firstPage = FIRST_TABLE + TABLES * TABLE_LEVELS;
  readonly gfns: number;

  constructor({
    module,
    fanout = 2,
    functions = [],
    platform: differences = {},
    extraPages = 0,
    create = (memory, platform) => new TdxModule(memory, platform),
  }: RigOptions) {
    this.gfns = fanout ** (ROOT_LEVEL + 1);
    this.m = new Machine();
    this.memory = new Memory(this.m, this.firstPage + 2 * this.gfns + extraPages, WORDS_PER_PAGE);
    const specified = versionData(module);
    const replaced = functions.map((fn) => [fn.name, fn] as const);
    const version = { ...specified, functions: new Map([...specified.functions, ...replaced]) };
    this.tdx = create(this.memory, { ...smallPlatform(version, fanout), ...differences });
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

  /** The page that backs `gfn`, or the first page of the huge page that does. */
  pageOf(gfn: number, level = 0): number {
    return this.firstPage + this.tdx.geometry.align(gfn, level);
  }

  /** A page that backs no GFN at first. */
  sparePage(gfn: number): number {
    return this.firstPage + this.gfns + gfn;
  }

  /** One of the pages behind those of the guest. */
  extraPage(i: number): number {
    return this.firstPage + 2 * this.gfns + i;
  }

  /** The page of the table to which an entry of `level` for `gfn` points. */
  tablePage(gfn: number, level: number): number {
    return (
      FIRST_TABLE +
      (level - 1) * TABLES +
      (Math.floor(gfn / this.tdx.geometry.span(level)) % TABLES)
    );
  }

  /** Calls a function by its name, step by step. */
  *invoke(name: string, operands: Partial<Operands>): Steps<Call> {
    return yield* this.tdx.invoke({ name }, { ...OPERANDS_ZERO, ...operands });
  }

  /** Calls a function in one go. */
  call(name: string, operands: Partial<Operands> = {}): Call {
    return atomically(this.invoke(name, operands));
  }

  /** Calls a function in one go. @throws Error if the call does not succeed */
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

  /** Writes to the page, within the current step. */
  use(page: number): void {
    this.m.poke(this.memory.word(page, 0), USED);
  }

  tdvpr(vcpu: number): number {
    return TDVPRS[vcpu] ?? -1;
  }

  /** The vCPU leaves the TD for an interrupt. */
  exit(vcpu: number): Steps<void> {
    return tdExit(this.tdx, this.tdvpr(vcpu));
  }
}
