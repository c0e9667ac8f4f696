/** K47, K48, K50, K62: how pages and tables leave a TD that may still run, and how it ends. */
import {
  FLUSHVP_NOT_DONE,
  TD_ASSOCIATED_PAGES_EXIST,
  type Status,
} from '../../../spec/tdx/status.ts';
import type { CallName } from '../reader/event-table.ts';
import { valuesOf, type Change } from '../state/change.ts';
import { FROZEN, isPresent, LEAF, pagesAt, TABLE, kindOf } from '../state/spte.ts';
import { KNOWN } from '../state/table.ts';
import type { Task } from '../state/task.ts';
import { eventsOf, type TracedCall } from '../tdx/call.ts';
import { LOCK_MODE_PAIRS, type Tds } from '../tdx/follow.ts';
import { keyOf, nameOfKey, type Key, type Td } from '../tdx/td.ts';
import type { TraceReporter, TraceRule } from './rule.ts';
import { onMirror } from './tdx-mirror.ts';

interface Debt {
  readonly td: Td;
  readonly task: Task;
  readonly line: number;
}

/**
 * Entries that somebody took out of the mirror, and that have to leave the Secure EPT before it
 * releases mmu_lock. `unpaid` is told of those that did not.
 */
function watchDebts(
  tds: Tds,
  kind: typeof LEAF | typeof TABLE,
  by: CallName,
  report: TraceReporter,
  unpaid: (entry: string) => string,
): void {
  const owed = new Map<Key, Debt>();
  onMirror(tds, (c, td) => {
    const key = keyOf(c.gfn, c.level);
    // it was frozen only, and is as it was, or another size: K44 and K49 ask about that
    if (c.oldKind === FROZEN && isPresent(c.newKind)) owed.delete(key);
    if (c.oldKind !== kind || isPresent(c.newKind) || (kind === TABLE && td.isFlushed)) return;
    report.exercised(c.vm);
    if (td.at(c.gfn, c.level)?.holds !== 'free') owed.set(key, { td, task: c.task, line: c.line });
  });
  tds.ended.push((_td, _task, call) => {
    if (call.name === by && call.succeeded) owed.delete(call.key);
  });
  tds.world.listeners.releasing.push((task, { lock }) => {
    for (const [key, debt] of owed) {
      if (debt.task !== task || debt.td.vm.id !== lock) continue;
      owed.delete(key);
      if (debt.td.isDead) continue;
      const unless = [...eventsOf(by), 'request'] as const;
      report.violated(
        { line: tds.world.e.line, task, vm: debt.td.vm, unless },
        unpaid(nameOfKey(key)),
        [{ line: debt.line, what: 'it left the mirror' }],
      );
    }
  });
  tds.world.listeners.forgetting.push(() => owed.clear());
}

const K47: TraceRule = {
  id: 'K47',
  needs: ['chg', ...eventsOf('tdh_mem_page_remove')],
  pairs: LOCK_MODE_PAIRS,
  watch: (_, report, { tds }) => {
    tds.began.push((td, task, call) => {
      if (call.name !== 'tdh_mem_page_remove' || tds.mayWrite(td, task)) return;
      report.violated(
        { line: call.line, task, vm: td.vm },
        `page ${nameOfKey(call.key)} is removed, and mmu_lock is not held for write`,
      );
    });
    watchDebts(
      tds,
      LEAF,
      'tdh_mem_page_remove',
      report,
      (entry) =>
        `mmu_lock is released, and the page at ${entry}, which the mirror has lost, was not removed`,
    );
  },
};

const ABOUT_ENTRY = /^tdh_mem_(sept|page|range)_/;
const TAKES_TABLE: ReadonlySet<CallName> = new Set(['tdh_mem_range_block', 'tdh_mem_sept_remove']);

/** What is wrong with a call at the time at which it is made; null when nothing is. */
function whatIsWrong(tds: Tds, td: Td, task: Task, call: TracedCall): string | null {
  const above = td.blockedAbove(call.gfn, call.level);
  if (above !== null)
    return `${call.name} for ${nameOfKey(call.key)}, below the table at ${nameOfKey(above)}, which is blocked`;
  if (call.before?.holds !== 'table' || !TAKES_TABLE.has(call.name)) return null;
  if (!tds.mayWrite(td, task))
    return `the table at ${nameOfKey(call.key)} is taken away, and mmu_lock is not held for write`;
  const child = call.name === 'tdh_mem_sept_remove' ? td.childOf(call.gfn, call.level) : null;
  return child === null
    ? null
    : `the table at ${nameOfKey(call.key)} is removed, and ${nameOfKey(child)} in it is not free`;
}

const K48: TraceRule = {
  id: 'K48',
  needs: ['chg', ...eventsOf('tdh_mem_range_block')],
  pairs: LOCK_MODE_PAIRS,
  watch: (_, report, { tds }) => {
    tds.began.push((td, task, call) => {
      if (!ABOUT_ENTRY.test(call.name) || td.isFlushed) return;
      const wrong = whatIsWrong(tds, td, task, call);
      if (wrong !== null || (TAKES_TABLE.has(call.name) && call.before?.holds === 'table'))
        report.exercised(td.vm);
      const unless = call.name === 'tdh_mem_sept_remove' ? eventsOf('tdh_mem_page_remove') : [];
      if (wrong !== null) report.violated({ line: call.line, task, vm: td.vm, unless }, wrong);
    });
    watchDebts(
      tds,
      TABLE,
      'tdh_mem_sept_remove',
      report,
      (entry) =>
        `mmu_lock is released, and the table at ${entry}, which the mirror has lost, was left to somebody else`,
    );
  },
};

/**
 * A leaf of the mirror in a range, or null. What a split has filled in, and nobody wrote since, is
 * not looked at.
 */
function leafIn({ world }: Tds, td: Td, start: number, end: number): Key | null {
  const layout = world.kernel?.layout;
  if (layout === undefined) return null;
  for (const table of td.vm.tables) {
    if (!table.mirror || !table.isLive || table.life === 'initialised') continue;
    const [first, last] = table.span(start, end);
    for (let i = first; i <= last; i++) {
      if (table.known[i] !== KNOWN) continue;
      if (kindOf(layout, table.level, table.hi[i] ?? 0, table.lo[i] ?? 0) === LEAF)
        return keyOf(table.gfnOf(i), table.level);
    }
  }
  return null;
}

/** A change that reaches out of a range. */
const isOutside = (c: Change, start: number, end: number): boolean =>
  c.gfn < start || c.gfn + pagesAt(c.level) > end;

const K50: TraceRule = {
  id: 'K50',
  needs: ['chg', 'slot', 'slot_ret'],
  watch: (world, report, { tds }) => {
    onMirror(tds, (c, td) => {
      if (c.oldKind !== LEAF || isPresent(c.newKind)) return;
      const slot = td.slots.find(({ task, over }) => task === c.task && !over);
      if (slot === undefined || !isOutside(c, slot.start, slot.end)) return;
      report.violated(
        c,
        `a leaf of another memslot goes with the one that is deleted: ${valuesOf(c)}`,
      );
    });
    world.on('slot_ret', (e, task) => {
      for (const td of tds.all()) {
        const slot = td.slots.findLast((each) => each.task === task);
        if (slot === undefined) continue;
        report.exercised(td.vm);
        const left = leafIn(tds, td, slot.start, slot.end);
        if (left === null) continue;
        report.violated(
          { line: e.line, task, vm: td.vm },
          `the memslot is gone, and the mirror still maps ${nameOfKey(left)}`,
        );
      }
    });
  },
};

/** What each call at a TD's end needs from the ones before it; null when that is there. */
const MISSING: readonly (readonly [
  RegExp,
  (tds: Tds, td: Td) => string | null,
  ...by: CallName[],
])[] = [
  [/^tdh_mem_/, (_, td) => (td.isFlushed ? 'and VPFLUSHDONE has ended that' : null)],
  [
    /^tdh_mng_vpflushdone$/,
    (tds, td) => {
      const leaf = leafIn(tds, td, 0, Number.MAX_SAFE_INTEGER);
      return leaf === null ? null : `and the mirror still maps ${nameOfKey(leaf)}`;
    },
  ],
  [
    /^tdh_mng_key_freeid$/,
    (_, td) => (td.isWrittenBack ? null : 'and caches were not written back since VPFLUSHDONE'),
    'tdh_phymem_cache_wb',
  ],
  [
    /^tdh_phymem_page_reclaim$/,
    (_, td) => (td.isFreed ? null : 'and the HKID is not free: lines of the page may be dirty'),
    'tdh_mng_key_freeid',
  ],
];

/** Answers that say that something should have come before. */
const TOO_EARLY: readonly (readonly [CallName, Status, string])[] = [
  ['tdh_mng_vpflushdone', FLUSHVP_NOT_DONE, 'a vCPU is still associated with a processor'],
  [
    'tdh_phymem_page_reclaim',
    TD_ASSOCIATED_PAGES_EXIST,
    'the TDR is to come back, and the TD has other pages',
  ],
];

const K62: TraceRule = {
  id: 'K62',
  needs: eventsOf('tdh_mng_vpflushdone'),
  watch: (_, report, { tds }) => {
    tds.began.push((td, task, call) => {
      for (const [name, missing, ...by] of MISSING) {
        if (!name.test(call.name) || !td.isSeenFromStart) continue;
        report.exercised(td.vm);
        const what = missing(tds, td);
        const where = { line: call.line, task, vm: td.vm, unless: by.flatMap(eventsOf) };
        if (what !== null) report.violated(where, `${call.name} is called, ${what}`);
      }
    });
    tds.ended.push((td, task, call) => {
      const early = TOO_EARLY.find(([name, status]) => name === call.name && call.is(status));
      if (early !== undefined)
        report.violated(
          { line: tds.world.e.line, task, vm: td.vm },
          `${call.name} is refused: ${early[2]}`,
        );
    });
  },
};

export default [K47, K48, K50, K62] satisfies readonly TraceRule[];
