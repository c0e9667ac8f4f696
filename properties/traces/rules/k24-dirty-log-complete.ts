import type { TraceEvent } from '../reader/event.ts';
import { valuesOf } from '../state/change.ts';
import { someLeaf } from '../state/leaves.ts';
import { isYield } from '../state/locks.ts';
import { has, hexOf, LEAF, LEAF_LEVEL, pagesAt } from '../state/spte.ts';
import type { Table } from '../state/table.ts';
import type { Task } from '../state/task.ts';
import type { Vm } from '../state/vm.ts';
import type { World } from '../state/world.ts';
import { flushRule } from './flush-rule.ts';
import type { Suspect } from './huge-leaves.ts';
import type { TraceReporter, TraceRule } from './rule.ts';

const MASK_BITS = 32;

/** Pages that are being write-protected. */
interface Protecting {
  readonly vm: Vm;
  /** The address space; null where that is not told. */
  readonly asId: number | null;
  readonly line: number;
  readonly start: number;
  readonly end: number;
  /** Leaves below are left as they are, */
  readonly minLevel: number;
  /** and so are those whose bit is clear here; null when none is. */
  readonly mask: readonly [low: number, high: number] | null;
}

const inMask = ({ mask, start }: Protecting, gfn: number): boolean => {
  if (mask === null) return true;
  const bit = gfn - start;
  return (((bit < MASK_BITS ? mask[0] : mask[1]) >>> (bit % MASK_BITS)) & 1) !== 0;
};

const asIdOf = (e: TraceEvent): number | null => (e.has('as_id') ? e.number('as_id') : null);

/** Looks for a leaf that was writable before the protection began and is so still. */
function check(world: World, report: TraceReporter, task: Task, protecting: Protecting): void {
  const { vm, start, end, line, minLevel } = protecting;
  const layout = world.kernel?.layout;
  const spaces = new Set(vm.roots.map(({ asId }) => asId));
  const asId = protecting.asId ?? (spaces.size === 1 ? vm.roots[0]?.asId : undefined);
  if (layout === undefined || asId === undefined) return;
  report.exercised(vm);
  const wrong = (table: Table, i: number): boolean => {
    const [hi, lo] = [table.hi[i] ?? 0, table.lo[i] ?? 0];
    if (table.level < minLevel || (table.lines[i] ?? 0) >= line || !has(layout.writable, hi, lo))
      return false;
    if (table.level === 1 && !inMask(protecting, table.gfnOf(i))) return false;
    report.violated(
      { line: world.e.line, task, vm },
      `GFN 0x${table.gfnOf(i).toString(16)} at level ${table.level} is writable by ${hexOf(hi, lo)}, so that the log misses writes`,
      [{ line, what: `${task.name} write-protects` }],
    );
    return true;
  };
  for (const root of vm.roots)
    if (!root.invalid && root.asId === asId && someLeaf(world, root, start, end, wrong)) return;
}

const PROTECTED: TraceRule = {
  id: 'K24',
  needs: ['chg', 'kvm_tdp_mmu_spte_changed'],
  watch: (world, report) => {
    const protecting = new Map<Task, Protecting>();
    const settle = (task: Task): void => {
      const what = protecting.get(task);
      if (what === undefined) return;
      protecting.delete(task);
      check(world, report, task, what);
    };
    world.on('wrprot_slot', (e, task) => {
      settle(task);
      if (!e.has('n')) return;
      const [vm, start] = [world.vmOf(e, task), e.number('base')];
      protecting.set(task, {
        vm,
        asId: asIdOf(e),
        line: e.line,
        start,
        end: start + e.number('n'),
        minLevel: e.has('min_level') ? e.low('min_level') : 1,
        mask: null,
      });
    });
    world.on('cleardirty_pt', (e, task) => {
      settle(task);
      if (e.has('wrprot') && e.low('wrprot') === 0) return;
      const [vm, start] = [world.vmOf(e, task), e.number('gfn')];
      protecting.set(task, {
        vm,
        asId: asIdOf(e),
        line: e.line,
        start,
        end: start + 2 * MASK_BITS,
        minLevel: 1,
        mask: [e.low('mask'), e.high('mask')],
      });
    });
    // a walk that yields is not through
    world.on('flush_slot', (_, task) => settle(task));
    world.listeners.acquired.push((task, hold) => {
      if (!isYield(hold)) settle(task);
    });
    world.listeners.releasing.push((task) => {
      if (protecting.get(task)?.mask != null) settle(task);
    });
    world.listeners.forgetting.push(() => protecting.clear());
  },
};

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
const HUGE: TraceRule = {
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

export default [flushRule('K24'), PROTECTED, HUGE] satisfies readonly TraceRule[];
