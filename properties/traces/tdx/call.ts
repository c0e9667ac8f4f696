/**
 * A call of the TDX module, as the probes of KVM's wrapper of it tell: where it begins, and how it
 * ends.
 */
import { PAGE_BYTES } from '../../../spec/machine/memory.ts';
import { OPERAND_BUSY, SUCCESS, toRax, type Status } from '../../../spec/tdx/status.ts';
import type { CallName, EventName } from '../reader/event-table.ts';
import type { TraceEvent } from '../reader/event.ts';
import { keyOf, type Entry, type Key } from './td.ts';

/** struct page of frame 0, without its upper bits, and how many bytes one takes. */
const VMEMMAP = (0xffff_ea00 & 0x1f_ffff) * 2 ** 32;
const STRUCT_PAGE = 64;

/** Bits 63:32 of a completion status, which tell statuses apart. */
const classBits = (status: Status): number => Number(toRax(status) >> 32n) | 0;
const [DONE, BUSY] = [SUCCESS, OPERAND_BUSY].map(classBits);

/** Kernels name a page by its frame or by its struct page; -1 when an event does neither. */
export function frameOfPage(e: TraceEvent): number {
  if (e.has('pfn')) return e.number('pfn');
  return e.has('page') ? (e.number('page') - VMEMMAP) / STRUCT_PAGE : -1;
}

/** A call of the module, from where it begins. */
export class TracedCall {
  readonly name: CallName;
  readonly line: number;
  readonly gfn: number;
  readonly level: number;
  /** Of the page that it gives or is about; -1 when there is none. */
  readonly frame: number;
  /** A page whose contents are added was named. */
  readonly hasSource: boolean;
  /** The entry that it is about, as it was before; null when it is not known, or there is none. */
  before: Entry | null = null;
  private result = 0;

  constructor(name: CallName, e: TraceEvent) {
    this.name = name;
    this.line = e.line;
    this.gfn = Math.floor(e.number('gpa') / PAGE_BYTES);
    this.level = e.has('tdx_level') ? e.low('tdx_level') + 1 : Math.max(e.low('level'), 1);
    this.frame = frameOfPage(e);
    this.hasSource = e.number('source') !== 0;
  }

  get key(): Key {
    return keyOf(this.gfn, this.level);
  }

  end(e: TraceEvent): void {
    this.result = e.high('status');
  }

  get succeeded(): boolean {
    return this.result === DONE;
  }

  get isBusy(): boolean {
    return this.result === BUSY;
  }

  /** It was answered by this status, whatever its operand. */
  is(status: Status): boolean {
    return this.result === classBits(status);
  }

  /** As violations say it. */
  get status(): string {
    return `0x${(this.result >>> 0).toString(16).padStart(8, '0')}`;
  }
}

/** The events of a call, which have to be there for it to be known that there was none. */
export const eventsOf = (name: CallName): readonly EventName[] => [name, `${name}_ret`];
