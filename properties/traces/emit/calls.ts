/** Emits the calls of the TDX module, as probes of KVM's wrappers show them. */
import type { Vm } from '../../../impl/vm/vm.ts';
import { PAGE_BYTES } from '../../../spec/machine/memory.ts';
import type { Call } from '../../../spec/tdx/call.ts';
import { toRax } from '../../../spec/tdx/status.ts';
import { CALL_NAMES } from '../reader/event-table.ts';
import type { AddressMap } from './address-map.ts';
import type { TraceLog } from './log.ts';

/** Base of the array of struct page, and the size of one in bytes. */
const VMEMMAP = 0xffff_ea00_0000_0000n;
const STRUCT_PAGE = 64n;

/** Functions whose RCX is a GPA with a level. */
const ABOUT_ENTRY = /^TDH\.MEM\.(SEPT|PAGE|RANGE)\./;
/** Functions whose R8 is a page to map, which the event names by its frame. */
const MAPS_PAGE: ReadonlySet<string> = new Set(['TDH.MEM.PAGE.ADD', 'TDH.MEM.PAGE.AUG']);
/** Functions whose R8 is a table to add, which the event names by its struct page. */
const ADDS_TABLE: ReadonlySet<string> = new Set(['TDH.MEM.SEPT.ADD', 'TDH.MEM.PAGE.DEMOTE']);

/** Returns KVM's wrapper of a function, or null if it has no probe. */
function wrapperOf(name: string): string | null {
  const wrapper = name.toLowerCase().replaceAll('.', '_');
  return CALL_NAMES.find((known) => known === wrapper) ?? null;
}

export class CallWriter {
  private readonly vm: Vm;
  private readonly log: TraceLog;
  private readonly addresses: AddressMap;

  constructor(vm: Vm, log: TraceLog, addresses: AddressMap) {
    this.vm = vm;
    this.log = log;
    this.addresses = addresses;
    vm.tdx.listeners.push({
      began: (call) => this.began(call),
      ended: (call, status) => {
        const name = wrapperOf(call.name);
        if (name !== null && call.name !== ENTERS) this.ended(name, toRax(status));
      },
    });
    vm.listeners.push({
      hostTouched: (page) =>
        log.event('reset_page', 'tdx_quirk_reset_page+0x4', `page=${this.page(page)}`),
    });
  }

  private began(call: Call): void {
    const name = wrapperOf(call.name);
    if (name === null || call.name === ENTERS) return;
    this.log.event(name, `${name}+0x4`, this.operandsOf(call));
  }

  private ended(name: string, rax: bigint): void {
    this.log.event(`${name}_ret`, `kvm+0x4 <- ${name}`, `status=0x${rax.toString(16)}`);
  }

  private operandsOf({ name, in: { rcx, r8, r9 } }: Call): string {
    const { vm, addresses } = this;
    if (name === 'TDH.PHYMEM.PAGE.WBINVD')
      return this.frame(this.pageNumber(rcx % 2 ** vm.tdx.platform.hkidShift));
    if (name === 'TDH.PHYMEM.PAGE.RECLAIM') return `page=${this.page(this.pageNumber(rcx))}`;
    if (!ABOUT_ENTRY.test(name)) return addresses.td;
    const page = MAPS_PAGE.has(name)
      ? ` ${this.frame(this.pageNumber(r8))}`
      : ADDS_TABLE.has(name)
        ? ` page=${this.page(this.pageNumber(r8))}`
        : '';
    const source =
      name === 'TDH.MEM.PAGE.ADD'
        ? ` source=${r9 === 0 ? '0x0' : this.struct(BigInt(r9 / PAGE_BYTES))}`
        : '';
    return this.entry(Math.floor(rcx / PAGE_BYTES), rcx % 8) + page + source;
  }

  private entry(gfn: number, level: number): string {
    const { addresses } = this;
    const gpa = addresses.gfn(gfn) * PAGE_BYTES;
    return `${addresses.td} gpa=0x${gpa.toString(16)} level=${addresses.level(level)}`;
  }

  private frame(page: number): string {
    return `pfn=0x${this.addresses.frame(page).toString(16)}`;
  }

  private pageNumber(hpa: number): number {
    return Math.floor(hpa / PAGE_BYTES) - this.vm.tdx.platform.tdmrBase;
  }

  /** Address of a page's struct page. */
  private page(page: number): string {
    return this.struct(BigInt(this.addresses.frame(page)));
  }

  private struct(frame: bigint): string {
    return `0x${(VMEMMAP + frame * STRUCT_PAGE).toString(16)}`;
  }

  /** Emits a call that succeeded before the scenario began. */
  past(name: string, operands: string): void {
    const wrapper = wrapperOf(name);
    if (wrapper === null) return;
    this.log.event(wrapper, `${wrapper}+0x4`, operands === '' ? this.addresses.td : operands);
    this.ended(wrapper, 0n);
  }

  /** Emits the call that added a table or a page before the scenario began. */
  added(isTable: boolean, gfn: number, level: number, page: number): void {
    const given = isTable
      ? `page=${this.page(page)}`
      : `${this.frame(page)} source=${this.struct(1n)}`;
    this.past(
      isTable ? 'TDH.MEM.SEPT.ADD' : 'TDH.MEM.PAGE.ADD',
      `${this.entry(gfn, level)} ${given}`,
    );
  }
}

/** Not emitted here, since it ends when the vCPU leaves the TD. */
const ENTERS = 'TDH.VP.ENTER';
