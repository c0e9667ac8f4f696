/** K24 in a trace: write-protection for the dirty log, its flushes, and huge leaves meanwhile. */
import type { TraceEvent } from '../reader/event.ts';
import { someLeaf } from '../state/leaves.ts';
import { continues } from '../state/locks.ts';
import { entryName, has, hexOf, pagesAt } from '../state/spte.ts';
import type { Table } from '../state/table.ts';
import type { Task } from '../state/task.ts';
import type { Vm } from '../state/vm.ts';
import type { World } from '../state/world.ts';
import { flushRule } from './flush-rule.ts';
import { onHugeLeaf, suspectOf, type Suspect } from './huge-leaves.ts';
import type { TraceReporter, TraceRule } from './rule.ts';

const MASK_BITS = 32;

/** A range that a task write-protects. */
interface Protection {
  readonly vm: Vm;
  /** Address space; null until the event or a change that the task makes in the range shows it. */
  asId: number | null;
  readonly line: number;
  readonly start: number;
  readonly end: number;
  /** Leaves below this level keep their permission. */
  readonly minLevel: number;
  /** Leaves of 4K whose bit is clear keep their permission; null if no leaf does. */
  readonly mask: readonly [low: number, high: number] | null;
}

const inMask = ({ mask, start }: Protection, gfn: number): boolean => {
  if (mask === null) return true;
  const bit = gfn - start;
  return (((bit < MASK_BITS ? mask[0] : mask[1]) >>> (bit % MASK_BITS)) & 1) !== 0;
};

const asIdOf = (e: TraceEvent): number | null => (e.has('as_id') ? e.number('as_id') : null);

/** Reports a leaf that was writable before the protection began, and still is. */
function check(world: World, report: TraceReporter, task: Task, protection: Protection): void {
  const { vm, start, end, line, minLevel } = protection;
  const layout = world.kernel?.layout;
  const asId = protection.asId ?? vm.onlySpace;
  if (layout === undefined) return;
  if (asId === null) {
    report.notJudged('the address space of a memslot is not recorded');
    return;
  }
  report.exercised(vm);
  const wrong = (table: Table, i: number): boolean => {
    const [hi, lo] = [table.hi[i] ?? 0, table.lo[i] ?? 0];
    if (table.level < minLevel || (table.lines[i] ?? 0) >= line || !has(layout.writable, hi, lo))
      return false;
    if (table.level === 1 && !inMask(protection, table.gfnOf(i))) return false;
    report.violated(
      { line: world.e.line, task, vm },
      `${entryName(table.gfnOf(i), table.level)} is still writable (${hexOf(hi, lo)}), so the ` +
        'dirty log misses writes',
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
    const protections = new Map<Task, Protection>();
    const settle = (task: Task): void => {
      const protection = protections.get(task);
      if (protection === undefined) return;
      protections.delete(task);
      check(world, report, task, protection);
    };
    world.on('wrprot_slot', (e, task) => {
      settle(task);
      if (!e.has('n')) return;
      const [vm, start] = [world.vmOf(e, task), e.number('base')];
      protections.set(task, {
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
      protections.set(task, {
        vm,
        asId: asIdOf(e),
        line: e.line,
        start,
        end: start + 2 * MASK_BITS,
        minLevel: 1,
        mask: [e.low('mask'), e.high('mask')],
      });
    });
    world.on('flush_slot', (_, task) => settle(task));
    world.listeners.acquired.push((task, hold) => {
      // a walk that drops the lock has not ended
      if (!continues(hold)) settle(task);
    });
    world.listeners.releasing.push((task) => {
      if (protections.get(task)?.mask != null) settle(task);
    });
    world.listeners.changing.push((c) => {
      const protection = protections.get(c.task);
      if (protection?.vm === c.vm && c.gfn < protection.end && c.gfn >= protection.start)
        protection.asId ??= c.asId;
    });
    world.listeners.forgetting.push(() => protections.clear());
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
 * While a slot is logged, no leaf above 4K becomes writable: the log would miss its writes. A trace
 * does not show when logging ends, which may be before KVM recovers huge pages. So a huge leaf that
 * a fault installs was wrong if the log is read again afterwards.
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
    // a zap outside a notifier deletes its slot, which ends logging
    world.on('zap_leafs', (e, task) => {
      const vm = world.vmOf(e, task);
      if (notifiers.of(vm, task) === undefined) drop(vm, e.number('start'), e.number('end'));
    });
    world.on(['inval_roots', 'zap_inval'], (e, task) => logged.delete(world.vmOf(e, task)));
    // a new root means that the one before was made invalid
    world.on('init_sp', (e, { vm }) => {
      if (vm !== null && e.number('sptep') === 0) logged.delete(vm);
    });
    world.listeners.forgetting.push(() => logged.clear());
    onHugeLeaf(world, (c, layout) => {
      if (!has(layout.writable, c.newHi, c.newLo)) return;
      const slot = of(c.vm).find(
        ({ start, end }) => c.gfn < end && c.gfn + pagesAt(c.level) > start,
      );
      // the events do not show the address space of the slot
      if (slot === undefined || c.vm.onlySpace === null) return;
      slot.suspects.push(
        suspectOf(world, c, 'a huge leaf becomes writable while its slot is logged'),
      );
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

export default [
  flushRule('K24', 'write-protecting'),
  PROTECTED,
  HUGE,
] satisfies readonly TraceRule[];
