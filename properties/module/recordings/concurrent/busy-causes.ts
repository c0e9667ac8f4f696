/**
 * Checks that a refused attempt at a lock has a cause: a call at the same time, or a vCPU in the
 * guest, that can have held the lock. A refusal for host priority has a cause if a host call was
 * refused that entry before.
 *
 * The check does not ask whether the other call reached the lock, not even if that call was refused
 * as well: a PROMOTE that is refused a child has held the parent entry. So a missing cause is
 * certain; a cause that is there is only possible. See docs/module-notes.md#locks and
 * docs/module-notes.md#refused-calls.
 */
import { VCPU_ACTIVE } from '../../../../spec/tdx/td.ts';
import type { ModuleVersion } from '../../../../spec/tdx/versions/index.ts';
import type { SequentialConfig } from '../format/config.ts';
import type { RecordedEvent, RecordedHistory } from './format.ts';
import { conflict, isPage, LockTable, type Attempt } from './lock-table.ts';

const BUSY = 0x80000200n;
const BUSY_HOST_PRIORITY = 0x80000204n;
const HOST_PRIORITY_BIT = 1n << 52n;
/** The names of calls of guests begin so. */
const GUEST = 'TDG.';
const WORD = 32n;
const LOW = (1n << WORD) - 1n;

/** The call was refused for a lock, or for host priority. A vCPU's exit reason is no status. */
export function refusalOf({ status, result }: RecordedEvent): 'busy' | 'priority' | null {
  if (result !== 'RETURN') return null;
  const code = BigInt(status) >> WORD;
  return code === BUSY ? 'busy' : code === BUSY_HOST_PRIORITY ? 'priority' : null;
}

const operandOf = ({ status }: RecordedEvent): number => Number(BigInt(status) & LOW);
const names = (event: RecordedEvent): string => `event ${event.i} (${event.op})`;

/** A call, or a vCPU in the guest, that can hold locks for a time. */
interface Holder {
  readonly from: number;
  readonly to: number;
  readonly held: readonly Attempt[];
  readonly event: RecordedEvent | null;
}

export class BusyCauses {
  private readonly table: LockTable;
  private readonly holders: readonly Holder[];
  private readonly events: readonly RecordedEvent[];
  private readonly history: RecordedHistory;

  constructor(history: RecordedHistory, version: ModuleVersion) {
    const { config, events } = history;
    this.table = new LockTable(config, version);
    this.events = events;
    this.history = history;
    this.holders = [
      ...events.map((event): Holder => ({
        from: event.inv,
        to: event.ret,
        held: this.table.attempts(event),
        event,
      })),
      ...residents(history, config).map(({ from, to, td, vcpu }): Holder => ({
        from,
        to,
        held: this.table.resident(td, vcpu),
        event: null,
      })),
    ];
  }

  /** Returns why the refusal of `event` has no cause; null if it has one, or is no refusal. */
  missing(event: RecordedEvent): string | null {
    const refusal = refusalOf(event);
    if (refusal === null) return null;
    const operand = operandOf(event);
    if (refusal === 'priority' && !event.op.startsWith(GUEST)) {
      return `${names(event)} is a host call, and host priority refuses only guests`;
    }
    const tried = this.table.attempts(event).filter((attempt) => attempt.operand === operand);
    if (tried.length === 0)
      return `${names(event)} tries no lock for which it is refused with operand ${operand}`;
    if (refusal === 'priority') return this.missingRequest(event, tried);
    const isCause = ({ from, to, held }: Holder): boolean =>
      from < event.ret &&
      event.inv < to &&
      held.some((attempt) => tried.some((own) => conflict(own, attempt)));
    if (this.holders.some((holder) => holder.event !== event && isCause(holder))) return null;
    if (this.refusesItself(event, tried)) return null;
    const refused = `${names(event)} was refused a lock`;
    return `${refused} that no call or vCPU can have held (operand ${operand})`;
  }

  /** The call itself has locked the page in R8: it is the TD's own TDR, or in a range around it. */
  private refusesItself(event: RecordedEvent, tried: readonly Attempt[]): boolean {
    const attempts = this.table.attempts(event);
    const before = attempts.slice(
      0,
      attempts.findIndex(({ operand }) => operand === operandOf(event)),
    );
    return before.some((attempt) => tried.some((own) => isPage(own) && conflict(own, attempt)));
  }

  /** Host priority stays until a host call has locked the entry: any earlier request is a cause. */
  private missingRequest(event: RecordedEvent, tried: readonly Attempt[]): string | null {
    const asks = (other: RecordedEvent): boolean =>
      other.inv < event.ret &&
      refusalOf(other) === 'busy' &&
      !other.op.startsWith(GUEST) &&
      this.table
        .attempts(other)
        .some(
          (attempt) =>
            attempt.guards === 'entry' &&
            attempt.operand === operandOf(other) &&
            tried.some((own) => conflict(own, attempt)),
        );
    const isSet =
      this.history.initial?.tds.some(({ sept = [] }) =>
        sept.some(({ raw }) => (BigInt(raw) & HOST_PRIORITY_BIT) !== 0n),
      ) === true;
    if (isSet || this.events.some(asks)) return null;
    return `${names(event)} was refused for host priority, which no host call had requested`;
  }
}

/** The times during which each vCPU was in the guest: from VP.ENTER to the exit. */
function residents(
  { initial, prefix, events }: RecordedHistory,
  config: SequentialConfig,
): { from: number; to: number; td: number; vcpu: number }[] {
  const stays: { from: number; to: number; td: number; vcpu: number }[] = [];
  for (const { td, tdvpr } of config.tds) {
    for (const vcpu of tdvpr.keys()) {
      const steps = prefix.filter(({ in: input }) => input.td === td && input.vcpu === vcpu);
      const state = initial?.tds.find((dumped) => dumped.td === td)?.vcpus[vcpu]?.['state'];
      let since =
        state === VCPU_ACTIVE || (state === undefined && enters(steps)) ? -Infinity : null;
      for (const event of events) {
        if (event.in.td !== td || event.in.vcpu !== vcpu) continue;
        if (event.result === 'TD_ENTERED') since ??= event.inv;
        else if (event.result === 'TD_EXIT' && since !== null) {
          stays.push({ from: since, to: event.ret, td, vcpu });
          since = null;
        }
      }
      if (since !== null) stays.push({ from: since, to: Infinity, td, vcpu });
    }
  }
  return stays;
}

/** These steps of a vCPU leave it in the guest. */
const enters = (steps: readonly { readonly result: string }[]): boolean =>
  steps.findLast(({ result }) => result === 'TD_ENTERED' || result === 'TD_EXIT')?.result ===
  'TD_ENTERED';
