/**
 * K51, K52, K54 to K56: the calls that add and take away private pages: when, in which order, under
 * which lock.
 */
import { PREVIOUS_TLB_EPOCH_BUSY } from '../../../spec/tdx/status.ts';
import type { CallName } from '../reader/event-table.ts';
import type { Task } from '../state/task.ts';
import { eventsOf, type TracedCall } from '../tdx/call.ts';
import { framesOf } from '../tdx/effects.ts';
import { LOCK_MODE_PAIRS } from '../tdx/follow.ts';
import { describe, nameOfKey, type Td } from '../tdx/td.ts';
import type { TraceRule } from './rule.ts';

const REMOVE: CallName = 'tdh_mem_page_remove';

/** Frames of what a call has removed, or was to remove. */
function* removed({ before, level }: TracedCall): Iterable<number> {
  if (before !== null && before.frame >= 0) yield* framesOf(before.frame, level);
}

const hex = (frame: number): string => `0x${frame.toString(16)}`;

const K51: TraceRule = {
  id: 'K51',
  needs: [...eventsOf(REMOVE), 'reset_page'],
  watch: (world, report, { tds }) => {
    const failed = new Map<number, TracedCall>();
    tds.ended.push((td, _task, call) => {
      if (call.name !== REMOVE || call.isBusy) return;
      if (!call.succeeded) report.exercised(td.vm);
      for (const frame of removed(call))
        if (call.succeeded) failed.delete(frame);
        else failed.set(frame, call);
    });
    tds.pageUsed.push((frame, task, line) => {
      const call = failed.get(frame);
      if (call === undefined) return;
      report.violated(
        { line, task, vm: task.vm },
        `the host uses page ${hex(frame)}, which the module did not let go of`,
        [{ line: call.line, what: `${call.name}, which answered ${call.status}` }],
      );
    });
    world.listeners.forgetting.push(() => failed.clear());
  },
};

const K52: TraceRule = {
  id: 'K52',
  needs: eventsOf('tdh_mr_finalize'),
  watch: (_, report, { tds }) => {
    tds.began.push((td, task, call) => {
      if (call.name !== 'tdh_mem_page_aug' && call.name !== 'tdh_mem_page_add') return;
      if (!td.isSeenFromStart)
        return report.unjudged('whether the TD was finalized before the trace');
      report.exercised(td.vm);
      const isAdd = call.name === 'tdh_mem_page_add';
      const where = { line: call.line, task, vm: td.vm };
      if (isAdd === td.finalLine > 0) {
        report.violated(
          where,
          `${call.name}, and the TD ${isAdd ? 'can run' : 'is still being built'}`,
          td.finalLine === 0 ? [] : [{ line: td.finalLine, what: 'it was finalized' }],
        );
      } else if (isAdd && !call.hasSource)
        report.violated(where, 'a page is added without contents, as by a fault');
    });
  },
};

/** Why a page may not be removed now; null when it may. */
function tooEarly(td: Td, call: TracedCall): readonly [string, number] | null {
  const { before } = call;
  if (td.finalLine === 0 || before === null) return null;
  if (before.blockedIn < 0) return [`which is not blocked (${describe(before)})`, before.line];
  if (before.blockedIn >= td.epoch)
    return ['and TRACK was not called since it was blocked', before.line];
  for (const [task, line] of td.inside) {
    if (line < td.trackLine) return [`and ${task.name} is inside since before TRACK`, line];
  }
  return null;
}

const K54: TraceRule = {
  id: 'K54',
  needs: [...eventsOf(REMOVE), ...eventsOf('tdh_mem_range_block'), ...eventsOf('tdh_mem_track')],
  pairs: [...LOCK_MODE_PAIRS, ['kvm_entry', 'kvm_exit']],
  watch: (world, report, { tds }) => {
    /** Frames whose lines may be in a cache under the TD's key. */
    const cached = new Map<number, TracedCall>();
    tds.began.push((td, task, call) => {
      if (call.name !== REMOVE) return;
      const where = { line: call.line, task, vm: td.vm };
      report.exercised(td.vm);
      const what = `page ${nameOfKey(call.key)} is removed, `;
      if (!tds.mayWrite(td, task))
        return report.violated(where, `${what}and mmu_lock is not held for write`);
      const wrong = tooEarly(td, call);
      if (wrong === null) return;
      report.violated(
        where,
        what + wrong[0],
        wrong[1] === 0 ? [] : [{ line: wrong[1], what: 'since then' }],
      );
    });
    tds.ended.push((_td, _task, call) => {
      if (!call.succeeded) return;
      if (call.name === REMOVE) for (const frame of removed(call)) cached.set(frame, call);
      else if (call.name === 'tdh_phymem_page_wbinvd') cached.delete(call.frame);
      else if (call.name === 'tdh_phymem_cache_wb') cached.clear();
    });
    tds.pageUsed.push((frame, task, line) => {
      const call = cached.get(frame);
      if (call === undefined) return;
      report.violated(
        { line, task, vm: task.vm, unless: eventsOf('tdh_phymem_page_wbinvd') },
        `the host uses page ${hex(frame)}, whose cache lines were not written back`,
        [{ line: call.line, what: 'it was removed' }],
      );
    });
    world.listeners.forgetting.push(() => cached.clear());
  },
};

const K55: TraceRule = {
  id: 'K55',
  needs: eventsOf('tdh_mem_track'),
  pairs: LOCK_MODE_PAIRS,
  watch: (_, report, { tds }) => {
    tds.began.push((td, task, call) => {
      if (call.name !== 'tdh_mem_track') return;
      report.exercised(td.vm);
      const where = { line: call.line, task, vm: td.vm };
      if (!tds.mayWrite(td, task))
        report.violated(where, 'TRACK is called, and mmu_lock is not held for write');
    });
    tds.ended.push((td, task, call) => {
      if (call.name !== 'tdh_mem_track' || !call.is(PREVIOUS_TLB_EPOCH_BUSY)) return;
      report.violated(
        { line: tds.world.e.line, task, vm: td.vm },
        'TRACK is called, and a vCPU is still inside from the epoch before',
      );
    });
  },
};

/** Calls that may not be given up: they take away what the mirror has given up already. */
const MUST_SUCCEED: ReadonlySet<CallName> = new Set([
  'tdh_mem_range_block',
  'tdh_mem_track',
  'tdh_mem_page_remove',
  'tdh_mem_sept_remove',
  'tdh_mem_range_unblock',
  'tdh_mem_page_demote',
  'tdh_mem_page_promote',
]);

const K56: TraceRule = {
  id: 'K56',
  needs: [...eventsOf('tdh_mem_range_block'), ...eventsOf('tdh_mem_track'), ...eventsOf(REMOVE)],
  pairs: [...LOCK_MODE_PAIRS, ['kvm_entry', 'kvm_exit'], ['bar', 'unbar']],
  watch: (world, report, { tds }) => {
    const refused = new Map<Task, TracedCall>();
    const isSecond = (task: Task, { name, key }: TracedCall): boolean => {
      const first = refused.get(task);
      return first?.name === name && first.key === key;
    };
    tds.began.push((td, task, call) => {
      if (!isSecond(task, call)) return;
      report.exercised(td.vm);
      const causes = [{ line: refused.get(task)?.line ?? 0, what: 'it was refused' }];
      if (td.barred === null) {
        report.violated(
          { line: call.line, task, vm: td.vm, unless: ['bar'] },
          `${call.name} is tried again, and entries are not barred`,
          causes,
        );
      }
      const inside = [...td.inside][0];
      if (inside !== undefined) {
        report.violated(
          { line: call.line, task, vm: td.vm },
          `${call.name} is tried again, and ${inside[0].name} is inside`,
          [...causes, { line: inside[1], what: 'it entered' }],
        );
      }
    });
    tds.ended.push((td, task, call) => {
      if (!MUST_SUCCEED.has(call.name)) return;
      const where = { line: world.e.line, task, vm: td.vm };
      if (call.isBusy && isSecond(task, call)) {
        report.violated(where, `${call.name} was refused again`, [
          { line: refused.get(task)?.line ?? 0, what: 'the first time' },
        ]);
      } else if (call.isBusy && !tds.mayWrite(td, task)) {
        report.violated(
          where,
          `${call.name} was refused, and who has to get others out does not hold mmu_lock for write`,
        );
      }
      if (call.isBusy) refused.set(task, call);
      else refused.delete(task);
    });
    world.listeners.releasing.push((task, { lock }) => {
      const td = tds.any ? tds.ofLock(lock) : null;
      if (td?.barred?.task !== task) return;
      report.violated(
        { line: world.e.line, task, vm: td.vm },
        'mmu_lock is released, and entries are still barred',
        [{ line: td.barred.line, what: 'they were barred' }],
      );
    });
    world.listeners.forgetting.push(() => refused.clear());
  },
};

export default [K51, K52, K54, K55, K56] satisfies readonly TraceRule[];
