/**
 * K24: what the dirty log is to notice is write-protected when the task goes on, small pages and
 * large ones.
 */
import type { TraceEvent } from '../reader/event.ts';
import { someLeaf } from '../state/leaves.ts';
import { isYield } from '../state/locks.ts';
import { has, hexOf } from '../state/spte.ts';
import type { Table } from '../state/table.ts';
import type { Task } from '../state/task.ts';
import type { Vm } from '../state/vm.ts';
import type { World } from '../state/world.ts';
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

const K24: TraceRule = {
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

export default [K24] satisfies readonly TraceRule[];
