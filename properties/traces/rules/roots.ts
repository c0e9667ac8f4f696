/**
 * Roots: made invalid (K32), not used afterwards (K23, K33, K34), emptied (K26) and let go of
 * (K31).
 */
import type { EventName } from '../reader/event-table.ts';
import { hashOfText } from '../reader/keys.ts';
import { frameOfAddress, frameOfPhysical } from '../state/addresses.ts';
import { hexOf, isPresent, kindOf } from '../state/spte.ts';
import { UNKNOWN, type Table } from '../state/table.ts';
import { EXCLUSIVE, type Task } from '../state/task.ts';
import type { Vm } from '../state/vm.ts';
import type { World } from '../state/world.ts';
import { LOCK_PAIRS, type Cause, type TraceRule, type Where } from './rule.ts';

const invalidation = (root: Table): Cause[] =>
  root.invalidLine === 0 ? [] : [{ line: root.invalidLine, what: 'the root was made invalid' }];

/**
 * The other half of it: whoever makes roots invalid gets everybody out of the guest before he lets
 * go of mmu_lock.
 */
const K23_GUESTS: TraceRule = {
  id: 'K23',
  needs: ['kvm_entry', 'kvm_exit', 'inval_roots'],
  watch: (world, report) => {
    /** Since when vCPUs are in the guest, and since when roots are made invalid. */
    const inside = new Map<Task, number>();
    const making = new Map<Task, number>();
    world.on('kvm_entry', ({ line }, task) => inside.set(task, line));
    world.on('kvm_exit', (_, task) => inside.delete(task));
    world.on('inval_roots', ({ line }, task) => making.set(task, line));
    world.listeners.forgetting.push(() => [inside, making].forEach((map) => map.clear()));
    world.listeners.releasing.push((task, { lock }) => {
      const since = making.get(task);
      if (since === undefined || lock !== task.vm?.id) return;
      making.delete(task);
      report.exercised(task.vm);
      for (const [vcpu, entered] of inside) {
        if (vcpu.runs !== task.vm || entered >= since) continue;
        report.violated(
          { line: world.e.line, task, vm: task.vm },
          `roots are invalid, and ${vcpu.name} is still in the guest`,
          [
            { line: since, what: `${task.name} makes roots invalid` },
            { line: entered, what: `${vcpu.name} entered the guest` },
          ],
        );
      }
    });
  },
};

/** An entry of a root that is present, or -1. */
function present(world: World, root: Table): number {
  const layout = world.kernel?.layout;
  if (layout === undefined) return -1;
  return root.lo.findIndex(
    (lo, i) =>
      root.known[i] !== UNKNOWN && isPresent(kindOf(layout, root.level, root.hi[i] ?? 0, lo)),
  );
}

const entryText = (root: Table, i: number): string =>
  `${hexOf(root.hi[i] ?? 0, root.lo[i] ?? 0)} for GFN 0x${root.gfnOf(i).toString(16)}`;

const K23: TraceRule = {
  id: 'K23',
  needs: ['kvm_entry', 'inval_roots', 'map', 'loadmmu'],
  watch: (world, report) => {
    /** Roots that vCPUs use, and roots that whoever made them invalid has done with. */
    const used = new Map<Task, Table>();
    const making = new Map<Task, Table[]>();
    const settled = new Map<Table, number>();
    world.on(['map', 'fpf'], (e, task) => {
      const root = world.tables.get(frameOfPhysical(e.number('root')));
      if (root !== undefined) used.set(task, root);
    });
    world.on(['loadmmu', 'freeobs'], (_, task) => {
      if (used.get(task)?.invalid === true) report.exercised(task.vm);
      used.delete(task);
    });
    world.on('inval_roots', (_, task) => {
      making.set(task, task.vm?.roots.filter(({ invalid }) => invalid) ?? []);
    });
    world.listeners.releasing.push((task, { lock }) => {
      if (lock !== task.vm?.id) return;
      for (const root of making.get(task) ?? []) settled.set(root, world.e.line);
      making.delete(task);
    });
    world.listeners.freeing.push((table) => settled.delete(table));
    world.listeners.forgetting.push(() => [used, making, settled].forEach((map) => map.clear()));
    world.on('kvm_entry', (e, task) => {
      const root = used.get(task);
      if (root === undefined || !settled.has(root)) return;
      report.violated(
        { line: e.line, task, vm: root.vm },
        'a vCPU enters the guest with a root that is invalid',
        invalidation(root),
      );
    });
  },
};

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

const K32: TraceRule = {
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

const LOADED = hashOfText('kvm_mmu_load');

const K34: TraceRule = {
  id: 'K34',
  needs: ['loadmmu', 'map'],
  watch: (world, report) => {
    const loaded = new Map<Task, number>();
    world.on('loadmmu', (e, task) => {
      if (e.caller === LOADED) loaded.set(task, e.line);
    });
    world.listeners.forgetting.push(() => loaded.clear());
    world.on(['map', 'fpf'], (e, task) => {
      const at = loaded.get(task);
      const root = world.tables.get(frameOfPhysical(e.number('root')));
      if (at === undefined || root === undefined) return;
      loaded.delete(task);
      report.exercised(root.vm);
      if (!root.invalid || root.invalidLine > at) return;
      report.violated(
        { line: e.line, task, vm: root.vm },
        'a vCPU was given a root that is invalid',
        [...invalidation(root), { line: at, what: `${task.name} loads a root` }],
      );
    });
  },
};

export default [K23, K23_GUESTS, K26, K31, K32, EMPTIED, K33, K34] satisfies readonly TraceRule[];
