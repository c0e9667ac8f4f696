/** K66 in a trace: how often a resize is interrupted, and whether it is completed. */
import { INTERRUPTED_RESTARTABLE } from '../../../spec/tdx/status.ts';
import { eventsOf, type TracedCall } from '../tdx/call.ts';
import { LOCK_MODE_PAIRS } from '../tdx/follow.ts';
import { nameOfKey } from '../tdx/td.ts';
import { DEMOTE, PROMOTE, UNBLOCK_EVENTS, watchUnsettled } from './resizes.ts';
import type { TraceRule } from './rule.ts';

/** Interruptions in a row that a task may accept while it holds mmu_lock. */
const PATIENCE = 16;

const isInterrupted = (call: TracedCall): boolean =>
  (call.name === DEMOTE || call.name === PROMOTE) && call.is(INTERRUPTED_RESTARTABLE);

const rule: TraceRule = {
  id: 'K66',
  needs: eventsOf(DEMOTE),
  pairs: LOCK_MODE_PAIRS,
  watch: (world, report, { tds }) => {
    let inARow = 0;
    tds.ended.push((td, task, call) => {
      if (!isInterrupted(call)) return;
      report.exercised(td.vm);
      if (++inARow <= PATIENCE) return;
      report.violated(
        { line: world.e.line, task, vm: td.vm },
        `${call.name} is interrupted ${inARow} times in a row with mmu_lock held`,
      );
    });
    world.listeners.releasing.push(() => {
      inARow = 0;
    });
    watchUnsettled(tds, isInterrupted, (key, td, { since, ...where }) => {
      report.violated(
        { ...where, vm: td.vm, unless: UNBLOCK_EVENTS },
        `releases mmu_lock with the resize of ${nameOfKey(key)} interrupted half way`,
        [{ line: since, what: 'the call was interrupted' }],
      );
    });
  },
};

export default rule;
