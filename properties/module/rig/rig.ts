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
import { GUEST_ACCESS } from './calls.ts';
import { FIRST_GUEST_PAGE, Layout } from './layout.ts';

export { TDR } from './layout.ts';

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
/** Page numbers of the two vCPUs, behind the TDR and its TDCX pages. */
export const TDVPRS = [8, 8 + TDVPR_PAGES] as const;
const WORDS_PER_PAGE = 128;

/** Content of a page that was written to. */
export const USED = 0x5ec;

export class ModuleRig extends Layout {
  readonly m: Machine;
  readonly memory: Memory;

  constructor({
    module,
    fanout = 2,
    functions = [],
    platform: differences = {},
    extraPages = 0,
    create = (memory, platform) => new TdxModule(memory, platform),
  }: RigOptions) {
    const gfns = fanout ** (ROOT_LEVEL + 1);
    const m = new Machine();
    const specified = versionData(module);
    const pages = FIRST_GUEST_PAGE + 2 * gfns + extraPages;
    const pool = specified.dynamicPamt ? 2 * Math.ceil(pages / fanout) : 0;
    const memory = new Memory(m, pages + pool, WORDS_PER_PAGE);
    const replaced = functions.map((fn) => [fn.name, fn] as const);
    const version = { ...specified, functions: new Map([...specified.functions, ...replaced]) };
    super(create(memory, { ...smallPlatform(version, fanout), ...differences }), gfns);
    this.m = m;
    this.memory = memory;
    this.pamtPool = pages;
    if (specified.dynamicPamt) this.coverRanges(pages);
  }

  /** Adds the PAMT pages of every range below a page. */
  private coverRanges(end: number): void {
    for (let page = 0; page < end; page += this.tdx.geometry.span(1)) {
      const [rdx, r8] = this.pairOf(page);
      this.must('TDH.PHYMEM.PAMT.ADD', { rcx: this.address(page) + 1, rdx, r8 });
    }
  }

  /** Where PAMT is dynamic, the range of `page` loses its PAMT pages, and may become one page. */
  uncoverRange(page: number): void {
    if (this.tdx.pamt.pairs === null) return;
    this.must('TDH.PHYMEM.PAMT.REMOVE', {
      rcx: this.address(this.tdx.geometry.align(page, 1)) + 1,
    });
  }

  /** Calls a function by its name, step by step. */
  invoke(name: string, operands: Partial<Operands>): Steps<Call> {
    return this.made(name, { ...OPERANDS_ZERO, ...operands });
  }

  /**
   * Calls a function by its name, step by step. A guest access with data, if it translates, then
   * exchanges the first word of its page for them (XCHG), one more step.
   */
  made(name: string, operands: Operands): Steps<Call> {
    const call = this.tdx.invoke({ name }, operands);
    // not itself a generator: each one that a step passes through costs time
    return name === GUEST_ACCESS && operands.data !== 0 ? this.withData(call) : call;
  }

  private *withData(steps: Steps<Call>): Steps<Call> {
    const call = yield* steps;
    if (call.exitReason < 0 && !call.injectedVe)
      call.data = yield* this.m.xchg(this.memory.word(this.pageAt(call.rcx), 0), call.in.data);
    return call;
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
  addTables(gfn: number, level = 1, td: Layout = this): void {
    for (let at = this.m.peek(this.memory.word(td.tdr, TD.ROOT_LEVEL)); at >= level; at--) {
      this.must('TDH.MEM.SEPT.ADD', {
        ...td.mapping(gfn, at),
        r8: td.address(td.tablePage(gfn, at)),
      });
    }
  }

  /** Page number of an address (bytes). */
  private pageAt(hpa: number): number {
    return Math.floor(hpa / PAGE_BYTES) - this.tdx.platform.tdmrBase;
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

  /** {@link exit} in one go. */
  leave(vcpu: number): void {
    atomically(this.exit(vcpu));
  }
}
