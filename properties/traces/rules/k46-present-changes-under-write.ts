import { valuesOf } from '../state/change.ts';
import { isPresent } from '../state/spte.ts';
import { LOCK_MODE_PAIRS } from '../tdx/follow.ts';
import { onMirror } from './mirror.ts';
import type { TraceRule } from './rule.ts';

const K46: TraceRule = {
  id: 'K46',
  needs: ['chg'],
  pairs: LOCK_MODE_PAIRS,
  watch: (_, report, { tds }) => {
    onMirror(tds, (c, td) => {
      if (!isPresent(c.oldKind)) return;
      if (!tds.world.recordsLocksOf(c.task, c.vm))
        return report.unjudged(`no event of a lock is recorded for ${c.task.name}`);
      report.exercised(c.vm);
      if (!tds.mayWrite(td, c.task)) {
        report.violated(
          c,
          `a present entry of the mirror is changed, and mmu_lock is not held for write: ${valuesOf(c)}`,
        );
      }
    });
  },
};

export default K46 satisfies TraceRule;
