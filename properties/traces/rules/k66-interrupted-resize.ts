import { INTERRUPTED_RESTARTABLE } from '../../../spec/tdx/status.ts';
import { eventsOf } from '../tdx/call.ts';
import { LOCK_MODE_PAIRS } from '../tdx/follow.ts';
import { nameOfKey } from '../tdx/td.ts';
import { DEMOTE, ENDED_BY, PROMOTE, watchOwed } from './resizes.ts';
import type { TraceRule } from './rule.ts';

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

export default K66 satisfies TraceRule;
