/** K65 to K67: large pages of a TD, which are split and merged by calls that can fail. */
import {
  GPA_RANGE_NOT_BLOCKED,
  INTERRUPTED_RESTARTABLE,
  TLB_TRACKING_NOT_DONE,
} from '../../../spec/tdx/status.ts';
import type { CallName } from '../reader/event-table.ts';
import { isPresent } from '../state/spte.ts';
import type { Task } from '../state/task.ts';
import { eventsOf, type TracedCall } from '../tdx/call.ts';
import { LOCK_MODE_PAIRS, type Tds } from '../tdx/follow.ts';
import {
  describe,
  gfnOf,
  levelOf,
  mirrorAt,
  nameOfKey,
  type Entry,
  type Key,
  type Td,
} from '../tdx/td.ts';
import type { TraceReporter, TraceRule } from './rule.ts';

const DEMOTE: CallName = 'tdh_mem_page_demote';
const PROMOTE: CallName = 'tdh_mem_page_promote';
/** Calls after which an entry that was blocked no longer is. */
const UNBLOCKS: ReadonlySet<CallName> = new Set([
  'tdh_mem_range_unblock',
  'tdh_mem_page_remove',
  'tdh_mem_sept_remove',
  DEMOTE,
  PROMOTE,
]);
const ENDED_BY = [...UNBLOCKS].flatMap(eventsOf);

/**
 * Entries that somebody has to settle before it releases mmu_lock: `owes` says when that is so,
 * `left` that it did not.
 */
function watchOwed(
  { world, ended }: Tds,
  owes: (call: TracedCall) => boolean,
  left: (
    key: Key,
    td: Td,
    where: { readonly line: number; readonly task: Task; readonly since: number },
  ) => void,
): void {
  const owed = new Map<Key, { readonly td: Td; readonly task: Task; readonly line: number }>();
  ended.push((td, task, call) => {
    if (call.succeeded && UNBLOCKS.has(call.name)) owed.delete(call.key);
    else if (owes(call)) owed.set(call.key, { td, task, line: call.line });
  });
  world.listeners.releasing.push((task, { lock }) => {
    for (const [key, debt] of owed) {
      if (debt.task !== task || debt.td.vm.id !== lock) continue;
      owed.delete(key);
      if (!debt.td.isDead) left(key, debt.td, { line: world.e.line, task, since: debt.line });
    }
  });
  world.listeners.forgetting.push(() => owed.clear());
}

const blocksLarge = ({ name, succeeded, level }: TracedCall): boolean =>
  name === 'tdh_mem_range_block' && succeeded && level > 1;

/** Asks of whoever blocks a large entry not to leave it so, while the mirror still maps it. */
function watchBlocked(tds: Tds, report: TraceReporter, of: Entry['holds'], what: string): void {
  watchOwed(tds, blocksLarge, (key, td, { since, ...where }) => {
    const [gfn, level] = [gfnOf(key), levelOf(key)];
    const entry = td.at(gfn, level);
    const spte = mirrorAt(td, tds.world, gfn, level);
    if (
      entry?.holds !== of ||
      entry.blockedIn < 0 ||
      spte?.level !== level ||
      !isPresent(spte.kind)
    )
      return;
    report.violated(
      { ...where, vm: td.vm, unless: ENDED_BY },
      `mmu_lock is released, and the ${what} at ${nameOfKey(key)}, which the mirror maps, stays ${describe(entry)}`,
      [{ line: since, what: 'it was blocked' }],
    );
  });
}

const K65: TraceRule = {
  id: 'K65',
  needs: eventsOf(DEMOTE),
  pairs: LOCK_MODE_PAIRS,
  watch: (world, report, { tds }) => {
    tds.began.push((td, task, call) => {
      if (call.name !== DEMOTE) return;
      report.exercised(td.vm);
      if (tds.mayWrite(td, task)) return;
      report.violated(
        { line: call.line, task, vm: td.vm },
        `${nameOfKey(call.key)} is split, and mmu_lock is not held for write`,
      );
    });
    tds.ended.push((td, task, call) => {
      if (
        call.name !== DEMOTE ||
        !(call.is(GPA_RANGE_NOT_BLOCKED) || call.is(TLB_TRACKING_NOT_DONE))
      )
        return;
      report.violated(
        { line: world.e.line, task, vm: td.vm },
        `${nameOfKey(call.key)} is split, and is not blocked, or a vCPU is inside since before`,
      );
    });
    watchBlocked(tds, report, 'leaf', 'page');
  },
};

/** Interruptions in a row that a holder of mmu_lock may sit out. */
const PATIENCE = 16;

const K66: TraceRule = {
  id: 'K66',
  needs: eventsOf(DEMOTE),
  pairs: LOCK_MODE_PAIRS,
  watch: (world, report, { tds }) => {
    let inARow = 0;
    tds.ended.push((td, task, call) => {
      if ((call.name !== DEMOTE && call.name !== PROMOTE) || !call.is(INTERRUPTED_RESTARTABLE))
        return;
      report.exercised(td.vm);
      if (++inARow <= PATIENCE) return;
      report.violated(
        { line: world.e.line, task, vm: td.vm },
        `${call.name} is interrupted ${inARow} times in a row, with mmu_lock held`,
      );
    });
    world.listeners.releasing.push(() => {
      inARow = 0;
    });
    watchOwed(
      tds,
      (call) => (call.name === DEMOTE || call.name === PROMOTE) && call.is(INTERRUPTED_RESTARTABLE),
      (key, td, { since, ...where }) => {
        report.violated(
          { ...where, vm: td.vm, unless: ENDED_BY },
          `mmu_lock is released, and the resize of ${nameOfKey(key)} was given up half way`,
          [{ line: since, what: 'it was interrupted' }],
        );
      },
    );
  },
};

const K67: TraceRule = {
  id: 'K67',
  needs: eventsOf(PROMOTE),
  pairs: LOCK_MODE_PAIRS,
  watch: (_, report, { tds }) => {
    tds.began.push((td, _task, call) => {
      if (call.name === PROMOTE) report.exercised(td.vm);
    });
    watchBlocked(tds, report, 'table', 'table');
  },
};

export default [K65, K66, K67] satisfies readonly TraceRule[];
