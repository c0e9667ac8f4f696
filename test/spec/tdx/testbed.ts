/** A small platform for tests that call the module's functions one after the other. */
import { Machine } from '../../../spec/machine/machine.ts';
import { Memory } from '../../../spec/machine/memory.ts';
import { atomically } from '../../../spec/machine/step.ts';
import { OPERANDS_ZERO, type Call, type Operands, type TdParams } from '../../../spec/tdx/call.ts';
import { tdExit } from '../../../spec/tdx/guest/td-exit.ts';
import { TdxModule } from '../../../spec/tdx/module.ts';
import { describeStatus } from '../../../spec/tdx/status.ts';
import { PLAIN_TD_PARAMS } from '../../../spec/tdx/td-params.ts';
import { MIN_TDVPS_PAGES, TD, VP } from '../../../spec/tdx/td.ts';
import { versionData, type ModuleVersion } from '../../../spec/tdx/versions/index.ts';

const FIRST_PAGE = 0x100;
const PAGES = 64;
const WORDS = 128;
const NEVER = -1;

/** Page numbers: the TDR followed by its TDCX pages, two vCPUs with theirs, a free page. */
export const TDR = 0;
export const VCPUS = [12, 20] as const;
export const FREE_PAGE = 40;
export const HKID = 33;

export const TD_PARAMS: TdParams = { ...PLAIN_TD_PARAMS, maxVcpus: 2 };

export const hpa = (page: number): number => (FIRST_PAGE + page) * 4096;

export class Testbed {
  readonly tdx: TdxModule;

  constructor(packages = 1, cacheSubBlocks = 1, version: ModuleVersion = '1.5') {
    const memory = new Memory(new Machine(), PAGES, WORDS);
    this.tdx = new TdxModule(memory, {
      version: versionData(version),
      fanout: 2,
      tdmrBase: FIRST_PAGE,
      hkidShift: 46,
      privateHkids: [32, 35],
      packages,
      cacheSubBlocks,
      steppingThreshold: 6,
    });
  }

  call(name: string, operands: Partial<Operands> = {}): Call {
    return atomically(
      this.tdx.invoke({ name }, { ...OPERANDS_ZERO, interruptAfter: NEVER, ...operands }),
    );
  }

  /** The status of a call, as text. */
  status(name: string, operands: Partial<Operands> = {}): string {
    return describeStatus(this.call(name, operands).status);
  }

  /** Makes a call; throws if it does not succeed. */
  ok(name: string, operands: Partial<Operands> = {}): void {
    const status = this.status(name, operands);
    if (status !== 'TDX_SUCCESS') throw new Error(`${name}: ${status}`);
  }

  /** Creates a TD with all its TDCX pages. */
  create(tdr = TDR, hkid = HKID): void {
    this.ok('TDH.MNG.CREATE', { rcx: hpa(tdr), rdx: hkid });
    for (let lp = 0; lp < this.tdx.platform.packages; lp++)
      this.ok('TDH.MNG.KEY.CONFIG', { rcx: hpa(tdr), lp });
    for (let i = 1; i <= this.tdx.version.tdcx.min; i++)
      this.ok('TDH.MNG.ADDCX', { rcx: hpa(tdr + i), rdx: hpa(tdr) });
  }

  /** Creates a vCPU with all its pages, not yet initialised. */
  createVcpu(tdvpr: number): void {
    this.ok('TDH.VP.CREATE', { rcx: hpa(tdvpr), rdx: hpa(TDR) });
    for (let i = 1; i < MIN_TDVPS_PAGES; i++)
      this.ok('TDH.VP.ADDCX', { rcx: hpa(tdvpr + i), rdx: hpa(tdvpr) });
  }

  /** Builds a TD that can run, with vCPUs associated with LP 0 and LP 1. */
  build(): void {
    this.create();
    this.ok('TDH.MNG.INIT', { rcx: hpa(TDR), rdx: 0, tdParams: TD_PARAMS });
    VCPUS.forEach((tdvpr, lp) => {
      this.createVcpu(tdvpr);
      this.ok('TDH.VP.INIT', { rcx: hpa(tdvpr), lp });
    });
    this.ok('TDH.MR.FINALIZE', { rcx: hpa(TDR) });
  }

  enter(vcpu: number, lp = vcpu): string {
    return this.status('TDH.VP.ENTER', { rcx: hpa(VCPUS[vcpu] ?? TDR), lp });
  }

  flush(vcpu: number, lp = vcpu): string {
    return this.status('TDH.VP.FLUSH', { rcx: hpa(VCPUS[vcpu] ?? TDR), lp });
  }

  exit(vcpu: number): void {
    atomically(tdExit(this.tdx, VCPUS[vcpu] ?? TDR));
  }

  /** Reclaims `count` pages from `page` on; returns the distinct statuses. */
  reclaim(page: number, count: number): string[] {
    const pages = Array.from({ length: count }, (_, i) => page + i);
    return [...new Set(pages.map((p) => this.status('TDH.PHYMEM.PAGE.RECLAIM', { rcx: hpa(p) })))];
  }

  td(field: number, tdr = TDR): number {
    return this.tdx.m.peek(this.tdx.memory.word(tdr, field));
  }

  setTd(field: number, value: number): void {
    this.tdx.m.poke(this.tdx.memory.word(TDR, field), value);
  }

  vcpu(index: number, field: number): number {
    return this.tdx.m.peek(this.tdx.memory.word(VCPUS[index] ?? TDR, field));
  }

  /** Both REFCOUNTs, and the number of associated vCPUs. */
  counts(): { even: number; odd: number; associated: number } {
    return {
      even: this.td(TD.REFCOUNT_EVEN),
      odd: this.td(TD.REFCOUNT_ODD),
      associated: this.td(TD.NUM_ASSOC_VCPUS),
    };
  }

  /** The LP that a vCPU is associated with, or -1. */
  lpOf(vcpu: number): number {
    return this.vcpu(vcpu, VP.ASSOC_LPID) - 1;
  }
}
