/** K34 in a trace: roots that vCPUs load, and what notifiers leave behind in invalid roots. */
import { hashOfText } from '../reader/keys.ts';
import type { Task } from '../state/task.ts';
import { nothingLeft } from './nothing-left.ts';
import { invalidSince, ROOT_REUSE } from './roots.ts';
import type { TraceRule } from './rule.ts';

const KVM_MMU_LOAD = hashOfText('kvm_mmu_load');

const LOADED: TraceRule = {
  id: 'K34',
  needs: ['loadmmu', 'map'],
  needsOne: ROOT_REUSE,
  watch: (world, report) => {
    const loaded = new Map<Task, number>();
    world.on('loadmmu', (e, task) => {
      if (e.caller === KVM_MMU_LOAD) loaded.set(task, e.line);
    });
    world.listeners.forgetting.push(() => loaded.clear());
    world.on(['map', 'fpf'], (e, task) => {
      const at = loaded.get(task);
      const root = world.rootOf(e.number('root'));
      if (at === undefined || root === undefined) return;
      loaded.delete(task);
      report.exercised(root.vm);
      if (!root.invalid || root.invalidLine > at) return;
      report.violated({ line: e.line, task, vm: root.vm }, 'a vCPU loaded an invalid root', [
        ...invalidSince(root),
        { line: at, what: `${task.name} loads a root` },
      ]);
    });
  },
};

const INVALIDATED = nothingLeft('K34', ['inv_end'], true, ({ invalid }) => invalid);

export default [LOADED, INVALIDATED] satisfies readonly TraceRule[];
