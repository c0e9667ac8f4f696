/** K32 in a trace: how roots become invalid, and what a root holds when it is freed. */
import type { EventName } from '../reader/event-table.ts';
import type { Table } from '../state/table.ts';
import { EXCLUSIVE, type Task } from '../state/task.ts';
import type { Vm } from '../state/vm.ts';
import { entryText, invalidSince, presentEntry, reusedBy } from './roots.ts';
import { LOCK_PAIRS, type TraceRule, type Where } from './rule.ts';
import { placedBy } from './tables.ts';

/** Roots become invalid under mmu_lock held for write, unless the VM is being destroyed. */
const LOCKED: TraceRule = {
  id: 'K32',
  needs: ['inval_roots', 'wl_ret'],
  pairs: LOCK_PAIRS,
  watch: (world, report) => {
    /** VMs whose roots became invalid without the lock: a violation if the VM lives on. */
    const suspects = new Map<Vm, Where & { readonly runners: ReadonlySet<Task> }>();
    const seen = 'makes roots invalid without mmu_lock held for write';
    world.on('inval_roots', (e, task) => {
      const { vm } = task;
      // without running vCPUs the lock excludes nothing
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
    // it lives on if one of its vCPUs has a fault; another VM may reuse the address
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
        const i = root.life === 'freed' ? -1 : presentEntry(world, root);
        if (i < 0) continue;
        report.violated(
          { line: e.line, task, vm: root.vm, unless: reusedBy(world) },
          `ends the zap of invalid roots, and one still has ${entryText(root, i)}`,
          invalidSince(root),
        );
      }
      zapping.delete(task);
    });
  },
};

/** A root is empty when its last reference is put. */
const EMPTIED: TraceRule = {
  id: 'K32',
  needs: ['chg'],
  watch: (world, report) => {
    world.on('put_root', (e, task) => {
      const root = world.tableOf(e.number('spt'));
      if (e.low('rc') !== 1 || root === undefined) return;
      report.exercised(root.vm);
      const i = presentEntry(world, root);
      if (i < 0) return;
      report.violated(
        { line: e.line, task, vm: root.vm },
        `puts the last reference of a root that has ${entryText(root, i)}`,
        invalidSince(root),
      );
    });
    // for traces without put_root
    world.listeners.freeing.push((root, task) => {
      if (!root.isRoot || root.life === 'freed') return;
      report.exercised(root.vm);
      const i = presentEntry(world, root);
      if (i < 0) return;
      report.violated(
        { line: world.e.line, task, vm: root.vm, unless: placedBy(world) },
        `frees a root that has ${entryText(root, i)}`,
        invalidSince(root),
      );
    });
  },
};

export default [LOCKED, EMPTIED] satisfies readonly TraceRule[];
