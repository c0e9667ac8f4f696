import { frameOfAddress } from '../state/addresses.ts';
import type { Table } from '../state/table.ts';
import type { Task } from '../state/task.ts';
import { entryText, present } from './roots.ts';
import type { TraceRule } from './rule.ts';

const K26: TraceRule = {
  id: 'K26',
  needs: ['zap_root', 'zap_root_ret'],
  watch: (world, report) => {
    const zapping = new Map<Task, Table>();
    world.on('zap_root', (e, task) => {
      const root = world.tables.get(frameOfAddress(e.number('spt')));
      if (root !== undefined) zapping.set(task, root);
    });
    world.on('zap_root_ret', (e, task) => {
      const root = zapping.get(task);
      if (root === undefined) return;
      zapping.delete(task);
      report.exercised(root.vm);
      const i = present(world, root);
      // a root that is valid may be filled again
      if (i < 0 || (!root.invalid && !root.vm.dying)) return;
      report.violated(
        { line: e.line, task, vm: root.vm },
        `all of a root was zapped, but it has ${entryText(root, i)}`,
        [{ line: root.lines[i] ?? 0, what: 'the entry was written' }],
      );
    });
  },
};

export default K26 satisfies TraceRule;
