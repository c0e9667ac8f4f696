/** K31 in a trace: references of a root when one is put. */
import type { TraceRule } from './rule.ts';

const rule: TraceRule = {
  id: 'K31',
  needs: ['put_root'],
  watch: (world, report) => {
    world.on('put_root', (e, task) => {
      const root = world.tableOf(e.number('spt'));
      if (!e.has('rc') || root === undefined || world.kernel === null) return;
      report.exercised(root.vm);
      const rc = e.low('rc');
      if (rc < 1)
        report.violated({ line: e.line, task, vm: root.vm }, `puts a root with ${rc} references`);
      if (rc === 1 && !root.invalid) {
        report.violated(
          { line: e.line, task, vm: root.vm },
          'puts the last reference of a valid root',
        );
      }
    });
  },
};

export default rule;
