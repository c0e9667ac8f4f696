/** K46 in a trace: lock of a task that changes a present entry of the mirror. */
import { valuesOf } from '../state/change.ts';
import { isPresent } from '../state/spte.ts';
import { LOCK_MODE_PAIRS } from '../tdx/follow.ts';
import { onMirrorChange } from './mirror.ts';
import type { TraceRule } from './rule.ts';

const rule: TraceRule = {
  id: 'K46',
  needs: ['chg'],
  pairs: LOCK_MODE_PAIRS,
  watch: (_, report, { tds }) => {
    onMirrorChange(tds, (c, td) => {
      if (!isPresent(c.oldKind)) return;
      if (!tds.world.recordsLocksOf(c.task, c.vm))
        return report.notJudged(`no lock event is recorded for ${c.task.name}`);
      report.exercised(c.vm);
      if (tds.mayWrite(td, c.task)) return;
      report.violated(
        c,
        `changes a present entry of the mirror without mmu_lock held for write: ${valuesOf(c)}`,
      );
    });
  },
};

export default rule;
