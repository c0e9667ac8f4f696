/** A call of the TDX module, from the events of KVM's wrapper: its operands and its status. */
import { PAGE_BYTES } from '../../../spec/machine/memory.ts';
import { OPERAND_BUSY, SUCCESS, toRax, type Status } from '../../../spec/tdx/status.ts';
import type { CallName, EventName } from '../reader/event-table.ts';
import type { TraceEvent } from '../reader/event.ts';
import { keyOf, type Entry, type Key } from './td.ts';

/** Bits 63:32 of a completion status, which distinguish statuses. */
const classBits = (status: Status): number => Number(toRax(status) >> 32n) | 0;
const [DONE, BUSY] = [SUCCESS, OPERAND_BUSY].map(classBits);

/** A call that has begun. */
export class TracedCall {
  readonly name: CallName;
  readonly line: number;
  readonly gfn: number;
  readonly level: number;
  /** Frame of the page that it adds or is about; -1 when there is none, or it is not known. */
  readonly frame: number;
  /** It named a page whose contents are added. */
  readonly hasSource: boolean;
  /** The entry that it is about, before the call; null when it is not known, or there is none. */
  before: Entry | null = null;
  private result = 0;

  constructor(name: CallName, e: TraceEvent, frame: number) {
    this.name = name;
    this.line = e.line;
    this.gfn = Math.floor(e.number('gpa') / PAGE_BYTES);
    this.level = e.has('tdx_level') ? e.low('tdx_level') + 1 : Math.max(e.low('level'), 1);
    this.frame = frame;
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

  /** Whether it returned this status, with any operand. */
  is(status: Status): boolean {
    return this.result === classBits(status);
  }

  /** Text of its status in violations. */
  get status(): string {
    return `0x${(this.result >>> 0).toString(16).padStart(8, '0')}`;
  }
}

/** Events of a call. Only with both recorded is it known that a call did not happen. */
export const eventsOf = (name: CallName): readonly EventName[] => [name, `${name}_ret`];
