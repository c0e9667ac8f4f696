/**
 * Names of functions, where a recorder prints addresses (trace-cmd report, perf script). The
 * addresses of the probed functions are in the trace itself. A return address belongs to the
 * nearest probed function before it, if that is near enough.
 */
import { PROBES } from './kernels/probes.ts';
import type { EventName } from './reader/event-table.ts';
import type { TraceEvent } from './reader/event.ts';
import { hashOfText } from './reader/keys.ts';

/** Upper bound of the size of a function that acquires mmu_lock. */
const FUNCTION_BYTES = 0x1000;
/** Upper bound of the size of the kernel's text. A module is further away from it. */
const TEXT_BYTES = 1 << 26;

/** Hashes of the names of probed functions. Those of one event may differ between kernels. */
const FUNCTIONS: ReadonlyMap<EventName, number> = new Map(
  [...PROBES['6.1'], ...PROBES['6.12'], ...PROBES['7.3']].map(({ name, symbol }) => [
    name,
    hashOfText(symbol),
  ]),
);
const CHANGED_6_12 = hashOfText('handle_changed_spte');

/** The only functions in the kernel's text, and not in KVM's module, that acquire mmu_lock. */
const YIELDS: ReadonlyMap<EventName, number> = new Map([
  ['rl_ret', hashOfText('__cond_resched_rwlock_read')],
  ['wl_ret', hashOfText('__cond_resched_rwlock_write')],
]);

export class Symbols {
  /** Addresses of probed functions, in ascending order, and the hashes of their names. */
  private readonly addresses: number[] = [];
  private readonly names: number[] = [];
  private readonly known = new Set<number>();
  /** Address of a function of KVM, or 0. */
  private ofKvm = 0;

  /**
   * Sets `caller` of an event that has addresses. `hasTables`: the trace has an event of new
   * tables, which 6.1 does not have.
   */
  resolve(e: TraceEvent, hasTables: boolean): void {
    const name = e.kind?.name;
    if (name === undefined) return;
    const symbol =
      name === 'chg' && !e.has('spt') && hasTables ? CHANGED_6_12 : (FUNCTIONS.get(name) ?? 0);
    if (!this.known.has(e.probed)) this.learn(e.probed, symbol, name);
    e.caller = e.returnsTo === 0 ? symbol : this.callerOf(e, name);
  }

  private learn(address: number, symbol: number, name: EventName): void {
    this.known.add(address);
    const at = this.indexAfter(address);
    this.addresses.splice(at, 0, address);
    this.names.splice(at, 0, symbol);
    if (name === 'chg' || name === 'fpf' || name === 'map') this.ofKvm = address;
  }

  private callerOf({ probed, returnsTo }: TraceEvent, name: EventName): number {
    const isModule = Math.abs(this.ofKvm - probed) > TEXT_BYTES;
    if (YIELDS.has(name) && isModule && Math.abs(returnsTo - probed) < TEXT_BYTES)
      return YIELDS.get(name) ?? 0;
    const at = this.indexAfter(returnsTo) - 1;
    const base = this.addresses[at] ?? -Infinity;
    return returnsTo - base < FUNCTION_BYTES ? (this.names[at] ?? 0) : 0;
  }

  /** Index of the first address above `address`. */
  private indexAfter(address: number): number {
    let [low, high] = [0, this.addresses.length];
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((this.addresses[middle] ?? 0) > address) high = middle;
      else low = middle + 1;
    }
    return low;
  }
}
