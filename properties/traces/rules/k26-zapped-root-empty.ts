/** K26 in a trace: entries of a root after all of it was zapped. */
import type { Table } from '../state/table.ts';
import type { Task } from '../state/task.ts';
import { entryText, presentEntry } from './roots.ts';
import type { TraceRule } from './rule.ts';

const rule: TraceRule = {
  id: 'K26',
  needs: ['zap_root', 'zap_root_ret'],
  watch: (world, report) => {
    const zapping = new Map<Task, Table>();
    world.on('zap_root', (e, task) => {
      const root = world.tableOf(e.number('spt'));
      if (root !== undefined) zapping.set(task, root);
    });
    world.on('zap_root_ret', (e, task) => {
      const root = zapping.get(task);
      if (root === undefined) return;
      zapping.delete(task);
      report.exercised(root.vm);
      const i = presentEntry(world, root);
      // faults may fill a valid root again
      if (i < 0 || (!root.invalid && !root.vm.dying)) return;
      report.violated(
        { line: e.line, task, vm: root.vm },
        `ends the zap of a root that still has ${entryText(root, i)}`,
        [{ line: root.lines[i] ?? 0, what: 'the entry was written' }],
      );
    });
  },
};

export default rule;
