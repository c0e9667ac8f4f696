/** K54 in a trace: state of a page that is removed, and its cache lines when the host uses it. */
import { eventsOf, type TracedCall } from '../tdx/call.ts';
import { LOCK_MODE_PAIRS } from '../tdx/follow.ts';
import { describe, nameOfKey, type Td } from '../tdx/td.ts';
import { hostUses, PAGE_REMOVE, removedFrames } from './removed-frames.ts';
import type { TraceRule } from './rule.ts';

/** Why a page may not be removed now, and the line since which that is so; null if it may. */
function tooEarly(td: Td, call: TracedCall): readonly [string, number] | null {
  const { before } = call;
  if (td.finalLine === 0 || before === null) return null;
  if (before.blockedIn < 0) return [`while it is not blocked (${describe(before)})`, before.line];
  if (before.blockedIn >= td.epoch)
    return ['without tdh_mem_track since it was blocked', before.line];
  for (const [task, line] of td.inside) {
    if (line < td.trackLine)
      return [`while ${task.name} has been in the guest since before tdh_mem_track`, line];
  }
  return null;
}

const rule: TraceRule = {
  id: 'K54',
  needs: [
    ...eventsOf(PAGE_REMOVE),
    ...eventsOf('tdh_mem_range_block'),
    ...eventsOf('tdh_mem_track'),
  ],
  pairs: [...LOCK_MODE_PAIRS, ['kvm_entry', 'kvm_exit']],
  watch: (world, report, { tds }) => {
    /** Frames whose lines may be in a cache under the TD's key. */
    const cached = new Map<number, TracedCall>();
    tds.began.push((td, task, call) => {
      if (call.name !== PAGE_REMOVE) return;
      const where = { line: call.line, task, vm: td.vm };
      report.exercised(td.vm);
      const what = `removes the page at ${nameOfKey(call.key)}`;
      if (!tds.mayWrite(td, task))
        return report.violated(where, `${what} without mmu_lock held for write`);
      const wrong = tooEarly(td, call);
      if (wrong === null) return;
      report.violated(
        where,
        `${what} ${wrong[0]}`,
        wrong[1] === 0 ? [] : [{ line: wrong[1], what: 'since then' }],
      );
    });
    tds.ended.push((_td, _task, call) => {
      if (!call.succeeded) return;
      if (call.name === PAGE_REMOVE)
        for (const frame of removedFrames(call)) cached.set(frame, call);
      else if (call.name === 'tdh_phymem_page_wbinvd') cached.delete(call.frame);
      else if (call.name === 'tdh_phymem_cache_wb') cached.clear();
    });
    tds.pageUsed.push((frame, task, line) => {
      const call = cached.get(frame);
      if (call === undefined) return;
      report.violated(
        { line, task, vm: task.vm, unless: eventsOf('tdh_phymem_page_wbinvd') },
        hostUses(frame, 'whose cache lines were not written back'),
        [{ line: call.line, what: 'the page was removed' }],
      );
    });
    world.listeners.forgetting.push(() => cached.clear());
  },
};

export default rule;
