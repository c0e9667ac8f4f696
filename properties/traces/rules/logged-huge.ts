/**
 * K24 while the dirty log is on: nothing above level 1 becomes writable, of which a write would not
 * tell.
 */
import { valuesOf } from '../state/change.ts';
import { has, LEAF, LEAF_LEVEL, pagesAt } from '../state/spte.ts';
import type { Task } from '../state/task.ts';
import type { Vm } from '../state/vm.ts';
import type { TraceRule } from './rule.ts';

interface Suspect {
  readonly line: number;
  readonly text: string;
  readonly task: Task;
  readonly seen: string;
}

/** A slot that is logged since `line`. */
interface Logged {
  readonly start: number;
  readonly end: number;
  readonly line: number;
  readonly suspects: Suspect[];
}

/**
 * When logging ends the trace does not say: before large pages are made again, and large ones may
 * be mapped already. So one that is mapped was wrong if the log is read once more.
 */
const K24: TraceRule = {
  id: 'K24',
  needs: ['map', 'chg', 'wrprot_slot', 'cleardirty_pt', 'recover_slot', 'zap_leafs', 'init_sp'],
  watch: (world, report, { notifiers }) => {
    const logged = new Map<Vm, Logged[]>();
    const of = (vm: Vm): readonly Logged[] => logged.get(vm) ?? [];
    const drop = (vm: Vm, from: number, to: number): void => {
      if (logged.has(vm))
        logged.set(
          vm,
          of(vm).filter(({ start, end }) => start < from || end > to),
        );
    };
    world.on('wrprot_slot', (e, task) => {
      if (!e.has('n')) return;
      const [vm, start] = [world.vmOf(e, task), e.number('base')];
      const end = start + e.number('n');
      drop(vm, start, end);
      logged.set(vm, [...of(vm), { start, end, line: e.line, suspects: [] }]);
    });
    world.on('recover_slot', (e, task) => {
      drop(world.vmOf(e, task), e.number('base'), e.number('base') + e.number('n'));
    });
    // a slot that is deleted is logged no more
    world.on('zap_leafs', (e, task) => {
      const vm = world.vmOf(e, task);
      if (notifiers.of(vm, task) === undefined) drop(vm, e.number('start'), e.number('end'));
    });
    world.on(['inval_roots', 'zap_inval'], (e, task) => logged.delete(world.vmOf(e, task)));
    // a root has a successor when it was made invalid
    world.on('init_sp', (e, { vm }) => {
      if (vm !== null && e.number('sptep') === 0) logged.delete(vm);
    });
    world.listeners.forgetting.push(() => logged.clear());
    world.listeners.changing.push((c) => {
      const layout = world.kernel?.layout;
      if (
        layout === undefined ||
        c.newKind !== LEAF ||
        c.level === LEAF_LEVEL ||
        c.task.mapLine === 0
      )
        return;
      if (!has(layout.writable, c.newHi, c.newLo)) return;
      const slot = of(c.vm).find(
        ({ start, end }) => c.gfn < end && c.gfn + pagesAt(c.level) > start,
      );
      // which address space the slot is of is not told
      if (slot === undefined || new Set(c.vm.roots.map(({ asId }) => asId)).size !== 1) return;
      const seen = `a page above level 1 became writable, while its writes are logged: ${valuesOf(c)}`;
      slot.suspects.push({ line: c.line, text: world.e.text(), task: c.task, seen });
    });
    world.on('cleardirty_pt', (e, task) => {
      const [vm, gfn] = [world.vmOf(e, task), e.number('gfn')];
      const slot = of(vm).find(({ start, end }) => gfn >= start && gfn < end);
      if (slot === undefined) return;
      report.exercised(vm);
      const began = { line: slot.line, what: 'logging began' };
      for (const { seen, ...where } of slot.suspects.splice(0))
        report.violated({ ...where, vm }, seen, [began]);
    });
  },
};

export default [K24] satisfies readonly TraceRule[];
