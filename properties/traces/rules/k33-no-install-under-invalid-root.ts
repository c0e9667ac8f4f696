/** K33 in a trace: root of a fault that is about to install an SPTE. */
import { gfnText } from './gfns.ts';
import { invalidSince, ROOT_REUSE } from './roots.ts';
import type { TraceRule } from './rule.ts';

const rule: TraceRule = {
  id: 'K33',
  needs: ['map'],
  needsOne: ROOT_REUSE,
  watch: (world, report) => {
    world.on('map', (e, task) => {
      const root = task.walk;
      if (root === null) return;
      report.exercised(root.vm);
      if (!root.invalid) return;
      report.violated(
        { line: e.line, task, vm: root.vm },
        `begins to map ${gfnText(e.number('gfn'))} under an invalid root`,
        invalidSince(root),
      );
    });
  },
};

export default rule;
