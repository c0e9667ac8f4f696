import { frameOfAddress } from '../state/addresses.ts';
import type { TraceRule } from './rule.ts';

const K31: TraceRule = {
  id: 'K31',
  needs: ['put_root'],
  watch: (world, report) => {
    world.on('put_root', (e, task) => {
      const root = world.tables.get(frameOfAddress(e.number('spt')));
      if (!e.has('rc') || root === undefined || world.kernel === null) return;
      report.exercised(root.vm);
      const rc = e.low('rc');
      if (rc < 1)
        report.violated({ line: e.line, task, vm: root.vm }, `a root is put with ${rc} references`);
      if (rc === 1 && !root.invalid) {
        report.violated(
          { line: e.line, task, vm: root.vm },
          'the last reference of a root is put that is valid',
        );
      }
    });
  },
};

export default K31 satisfies TraceRule;
