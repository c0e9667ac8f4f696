import { invalidation } from './roots.ts';
import type { TraceRule } from './rule.ts';

const K33: TraceRule = {
  id: 'K33',
  needs: ['map'],
  watch: (world, report) => {
    world.on('map', (e, task) => {
      const root = task.walk;
      if (root === null) return;
      report.exercised(root.vm);
      if (!root.invalid) return;
      report.violated(
        { line: e.line, task, vm: root.vm },
        `GFN 0x${e.number('gfn').toString(16)} is about to be mapped under a root that is invalid`,
        invalidation(root),
      );
    });
  },
};

export default K33 satisfies TraceRule;
