/**
 * Facts about a run that name the cause of an anomaly better than its symptom does: what happened
 * to a call while it was in flight.
 */
import type { Cell } from '../../../spec/machine/machine.ts';
import type { Call } from '../../../spec/tdx/call.ts';
import { withoutLocks } from '../../../spec/tdx/entry.ts';
import type { TdxModule } from '../../../spec/tdx/module.ts';
import { gfnOf } from '../../../spec/tdx/operands.ts';
import { tableAt } from '../../../spec/tdx/rules/tree.ts';
import { MODULE_HALT, SUCCESS } from '../../../spec/tdx/status.ts';
import { KEYS_CONFIGURED, TD } from '../../../spec/tdx/td.ts';

/**
 * A call reached an entry whose table its TD had lost since the call walked to it: it tried the
 * entry's lock, or ended without.
 */
export const LOST_TABLE = 'a call is in a table that its TD has lost';
/** A call on the memory of a TD ended after the TD's teardown had begun. */
export const TORN_DOWN = 'a TD is torn down during a call on its memory';
/** RANGE.BLOCK stamped a later epoch than the one in which it blocked. */
export const LATE_STAMP = 'RANGE.BLOCK stamps a later epoch than that of the block';
/** MEM.WR stored its data over other data than it had loaded. */
export const LOST_WRITE = 'MEM.WR overwrites data that it has not read';

/** MEM.RD or MEM.WR ended after the page that it accessed had left its entry. */
export const LOST_PAGE = 'a page leaves its entry during a debug access';
/** A call returned between the first and the last step of a TD exit. */
export const LATE_EXIT = 'a call returns while a vCPU is on its way out of the TD';

const MEMORY = 'TDH.MEM.';
const READ = 'TDH.MEM.RD';
const BLOCK = 'TDH.MEM.RANGE.BLOCK';
const WRITE = 'TDH.MEM.WR';
const NO_EPOCH = -1;

/** Observes the runs of a module. */
export class RunFacts {
  private readonly tdx: TdxModule;
  private readonly seen = new Set<string>();
  /**
   * By actor: its call in flight, whether that call has tried its entry's lock, and TD_EPOCH when
   * it wrote the entry.
   */
  private readonly calls: (Call | undefined)[] = [];
  private readonly hasTried: boolean[] = [];
  private readonly epochs: number[] = [];

  constructor(tdx: TdxModule) {
    this.tdx = tdx;
    const { m, locks, listeners } = tdx;
    const tried = (cell: Cell): void => this.tried(cell);
    locks.listeners.push({ taken: tried, refused: tried, released: () => {} });
    listeners.push({
      began: (call) => {
        this.calls[m.current] = call;
        this.hasTried[m.current] = false;
        this.epochs[m.current] = NO_EPOCH;
      },
      ended: (call) => this.ended(call),
      entryWritten: (_cell, before, after, { name, tdr }) => {
        if (name === BLOCK && withoutLocks(before) !== withoutLocks(after))
          this.epochs[m.current] = this.epochOf(tdr);
      },
    });
    m.onWrite.push((cell, before) => this.wrote(cell, before));
  }

  /** Begins a run. */
  clear(): void {
    this.seen.clear();
    this.calls.length = 0;
  }

  get all(): readonly string[] {
    return [...this.seen];
  }

  private tried(cell: Cell): void {
    const { current } = this.tdx.m;
    const call = this.calls[current];
    if (call?.entryCell !== cell) return;
    this.hasTried[current] = true;
    this.lookForTable(call);
  }

  private lookForTable({ tdr, level, table, in: { rcx } }: Call): void {
    if (tableAt(this.tdx, tdr, gfnOf(rcx), level) !== table) this.seen.add(LOST_TABLE);
  }

  private ended(call: Call): void {
    const { m, memory } = this.tdx;
    const { name, status, tdr, entryCell } = call;
    this.calls[m.current] = undefined;
    if (entryCell >= 0 && this.hasTried[m.current] === false) this.lookForTable(call);
    if (tdr < 0) return;
    const hasUsedTd =
      name.startsWith(MEMORY) && (entryCell >= 0 || status === SUCCESS || status === MODULE_HALT);
    if (hasUsedTd && m.peek(memory.word(tdr, TD.LIFECYCLE)) !== KEYS_CONFIGURED)
      this.seen.add(TORN_DOWN);
    if ((name === READ || name === WRITE) && status === SUCCESS) this.lookForPage(call);
    const epoch = this.epochs[m.current] ?? NO_EPOCH;
    if (epoch !== NO_EPOCH && epoch !== this.epochOf(tdr)) this.seen.add(LATE_STAMP);
  }

  private lookForPage({ entryCell, entry }: Call): void {
    if (withoutLocks(this.tdx.m.peek(entryCell)) !== withoutLocks(entry)) this.seen.add(LOST_PAGE);
  }

  private wrote(cell: Cell, before: number): void {
    const call = this.calls[this.tdx.m.current];
    if (call?.name === WRITE && call.dataCell === cell && call.data !== before)
      this.seen.add(LOST_WRITE);
  }

  private epochOf(tdr: number): number {
    return this.tdx.m.peek(this.tdx.memory.word(tdr, TD.TD_EPOCH));
  }
}
