import type { EventName } from '../reader/event-table.ts';
import { frameOfAddress } from '../state/addresses.ts';
import type { Table } from '../state/table.ts';
import { EXCLUSIVE, type Task } from '../state/task.ts';
import type { Vm } from '../state/vm.ts';
import { entryText, invalidation, present } from './roots.ts';
import { LOCK_PAIRS, type TraceRule, type Where } from './rule.ts';

const INVALIDATED: TraceRule = {
  id: 'K32',
  needs: ['inval_roots', 'wl_ret'],
  pairs: LOCK_PAIRS,
  watch: (world, report) => {
    /**
     * Roots that were made invalid without the lock, which is right only where the VM does not live
     * on.
     */
    const suspects = new Map<Vm, Where & { readonly runners: ReadonlySet<Task> }>();
    const seen = 'roots are made invalid without mmu_lock held for write';
    world.on('inval_roots', (e, task) => {
      const { vm } = task;
      // where nothing runs any more nobody has to be kept out
      if (vm === null || vm.dying || vm.uninitialised > 0 || !world.recordsLocksOf(task, vm))
        return;
      report.exercised(vm);
      if (task.holdOn(vm.id)?.mode === EXCLUSIVE) return;
      const runners = new Set([...world.tasks.values()].filter(({ runs }) => runs === vm));
      suspects.set(vm, { line: e.line, task, vm, text: e.text(), runners });
    });
    const settle = (vm: Vm, unless: readonly EventName[]): void => {
      const suspect = suspects.get(vm);
      suspects.delete(vm);
      if (suspect !== undefined) report.violated({ ...suspect, unless }, seen);
    };
    // it lives on if a vCPU does; what is at the same address may be another one
    world.on('map', (_, task) => {
      const { vm } = task;
      if (vm !== null && suspects.get(vm)?.runners.has(task) === true) settle(vm, []);
    });
    world.listeners.forgetting.push(() => suspects.clear());
    world.listeners.ending.push(() => {
      for (const vm of suspects.keys()) settle(vm, ['zap_all']);
    });
    const zapping = new Map<Task, readonly Table[]>();
    world.listeners.forgetting.push(() => zapping.clear());
    world.on('zap_inval', (_, task) =>
      zapping.set(task, task.vm?.roots.filter(({ invalid }) => invalid) ?? []),
    );
    world.on('zap_inval_ret', (e, task) => {
      for (const root of zapping.get(task) ?? []) {
        const i = root.life === 'freed' ? -1 : present(world, root);
        if (i < 0) continue;
        report.violated(
          { line: e.line, task, vm: root.vm },
          `invalid roots are zapped, but one has ${entryText(root, i)}`,
          invalidation(root),
        );
      }
      zapping.delete(task);
    });
  },
};

/** A root goes when it is empty. */
const EMPTIED: TraceRule = {
  id: 'K32',
  needs: ['chg'],
  watch: (world, report) => {
    world.on('put_root', (e, task) => {
      const root = world.tables.get(frameOfAddress(e.number('spt')));
      if (e.low('rc') !== 1 || root === undefined) return;
      report.exercised(root.vm);
      const i = present(world, root);
      if (i < 0) return;
      report.violated(
        { line: e.line, task, vm: root.vm },
        `the last reference of a root is put while it has ${entryText(root, i)}`,
        invalidation(root),
      );
    });
    // where putting it is not told
    world.listeners.freeing.push((root, task) => {
      if (!root.isRoot || root.life === 'freed') return;
      report.exercised(root.vm);
      const i = present(world, root);
      if (i < 0) return;
      report.violated(
        { line: world.e.line, task, vm: root.vm },
        `a root is freed with ${entryText(root, i)}`,
        invalidation(root),
      );
    });
  },
};

export default [INVALIDATED, EMPTIED] satisfies readonly TraceRule[];
