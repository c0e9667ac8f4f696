/** Pages that the primary MMU takes back: K22, K34, K37 to K39. */
import type { TraceEvent } from '../reader/event.ts';
import { valuesOf } from '../state/change.ts';
import { someLeaf } from '../state/leaves.ts';
import { isYield } from '../state/locks.ts';
import type { Invalidation, Notifiers, Range } from '../state/notifiers.ts';
import { hexOf, isPresent, LEAF } from '../state/spte.ts';
import type { Table } from '../state/table.ts';
import { EXCLUSIVE, type Task } from '../state/task.ts';
import type { Vm } from '../state/vm.ts';
import type { World } from '../state/world.ts';
import {
  LOCK_PAIRS,
  type Cause,
  type DerivedState,
  type TraceReporter,
  type TraceRule,
} from './rule.ts';

const rangeText = ({ start, end }: Range): string =>
  `GFNs 0x${start.toString(16)} up to 0x${end.toString(16)}`;

const began = ({ line, task }: Invalidation): Cause => ({ line, what: `${task.name} invalidates` });

/**
 * Roots that a range is about: those of the address spaces that were walked, or of the only one
 * that there is. Where no event tells of the whole range, a walk that was not done is not known,
 * and it is those that were.
 */
function rootsFor(world: World, vm: Vm, { asIds, sps }: Range): Table[] {
  if (world.kernel?.namesTables !== true) {
    const named = new Set(vm.rootsBySp.values());
    const others = vm.roots.filter((root) => !named.has(root));
    // an address that nothing was found under yet is that of the only root without one
    return [...sps].flatMap((sp) => vm.rootsBySp.get(sp) ?? (others.length === 1 ? others : []));
  }
  const only = new Set(vm.roots.map(({ asId }) => asId)).size === 1;
  return vm.roots.filter((root) => (asIds.size === 0 ? only : asIds.has(root.asId)));
}

/**
 * Looks for leaves of a range that an invalidation leaves behind, in roots that `premise` holds
 * for.
 */
const nothingLeft = (
  id: string,
  needs: TraceRule['needs'],
  named: boolean,
  premise: (root: Table) => boolean,
): TraceRule => ({
  id,
  needs,
  watch: (world, report, { notifiers }) => {
    notifiers.ending.push((invalidation, e) => {
      if (world.kernel?.namesTables !== named) return;
      for (const range of invalidation.ranges) {
        for (const root of rootsFor(world, invalidation.vm, range)) {
          if (!premise(root)) continue;
          report.exercised(root.vm);
          someLeaf(world, root, range.start, range.end, (table, i) => {
            report.violated(
              { line: e.line, task: invalidation.task, vm: root.vm },
              `${rangeText(range)} were to be given up, and ${hexOf(table.hi[i] ?? 0, table.lo[i] ?? 0)} still maps ` +
                `0x${table.gfnOf(i).toString(16)} under a${root.invalid ? 'n invalid' : ' valid'} root`,
              [began(invalidation), { line: table.lines[i] ?? 0, what: 'the leaf was written' }],
            );
            return true;
          });
        }
      }
    });
  },
});

const K22 = nothingLeft('K22', ['inv_end'], true, () => true);
const WALKED = nothingLeft('K22', ['zap_leafs', 'wl_ret'], false, () => true);
const K34 = nothingLeft('K34', ['inv_end'], true, ({ invalid }) => invalid);

/** The number that invalidations are counted with, by counting them. */
class Sequence {
  private readonly next = new Map<Vm, number>();

  constructor(world: World) {
    world.listeners.forgetting.push(() => this.next.clear());
  }

  /** Null before an event shows it, and when it may be of another VM at the same address. */
  of(vm: Vm): number | null {
    return vm.dying ? null : (this.next.get(vm) ?? null);
  }

  is(vm: Vm, seq: number): void {
    this.next.set(vm, seq);
  }
}

/** No slot is behind such a GFN, and nothing can be stale. */
const NO_PAGE = 0xfff0_0000;

function judgeFault(
  world: World,
  report: TraceReporter,
  notifiers: Notifiers,
  invalidated: DerivedState['invalidated'],
  sequence: Sequence,
): void {
  world.on('map', (e, task) => {
    const { vm } = task;
    if (vm === null || !e.has('mmu_seq') || (e.high('pfn') & NO_PAGE) !== 0) return;
    report.exercised(vm);
    const gfn = e.number('gfn');
    const expected = sequence.of(vm);
    const at = { line: e.line, task, vm };
    if (expected !== null && expected !== e.number('mmu_seq')) {
      report.violated(
        at,
        `GFN 0x${gfn.toString(16)} was looked up at sequence number ${e.number('mmu_seq')}, and is mapped at ` +
          `${expected}: something was invalidated in between`,
      );
      return;
    }
    const range = invalidated.get(vm);
    if (range === undefined || gfn < range.start || gfn >= range.end) return;
    report.violated(
      { ...at, unless: ['inv_end'] },
      `GFN 0x${gfn.toString(16)} is mapped while it is invalidated`,
      [...range.begun].map(([{ name }, line]) => ({ line, what: `${name} invalidates` })),
    );
  });
  // where a fault does not say what it maps
  world.listeners.changing.push((c) => {
    if (
      world.kernel?.namesTables !== false ||
      c.newKind !== LEAF ||
      isPresent(c.oldKind) ||
      c.task.mapLine === 0
    )
      return;
    report.exercised(c.vm);
    for (const invalidation of notifiers.activeIn(c.vm)) {
      if (!invalidation.ranges.some(({ start, end }) => c.gfn >= start && c.gfn < end)) continue;
      report.violated(c, `mapped while it is invalidated: ${valuesOf(c)}`, [began(invalidation)]);
    }
  });
}

const K37: TraceRule = {
  id: 'K37',
  needs: ['map'],
  watch: (world, report, { invalidated, notifiers }) => {
    const sequence = new Sequence(world);
    world.on('inv_end', (e, task) => {
      const vm = world.vmOf(e, task);
      // the kernel says what it was before
      sequence.is(vm, Math.max(sequence.of(vm) ?? 0, e.number('seq')) + 1);
    });
    judgeFault(world, report, notifiers, invalidated, sequence);
  },
};

const K38: TraceRule = {
  id: 'K38',
  needs: ['inv_end', 'wl_ret'],
  pairs: LOCK_PAIRS,
  watch: (world, report, { notifiers }) => {
    const sequence = new Sequence(world);
    world.on(['unmap_gfn_range', 'inv_end'], (e, task) => {
      const vm = world.vmOf(e, task);
      const [seq, expected] = [e.number('seq'), sequence.of(vm)];
      report.exercised(vm);
      if (expected !== null && seq !== expected) {
        report.violated(
          { line: e.line, task, vm },
          `the sequence number is ${seq}, where ${expected} invalidations have ended`,
        );
      }
      sequence.is(vm, seq);
    });
    const count = (vm: Vm, task: Task, e: TraceEvent): void => {
      const going = notifiers.activeIn(vm);
      if (!e.has('inprog') || e.low('inprog') >= going.length) return;
      report.violated(
        { line: e.line, task, vm },
        `${e.low('inprog')} invalidations are said to be going on, and ${going.length} are`,
        going.map(began),
      );
    };
    world.on('unmap_gfn_range', (e, task) => count(world.vmOf(e, task), task, e));
    notifiers.ending.push(({ vm, task }, e) => count(vm, task, e));
    world.on('inv_end', (e, task) => {
      const vm = world.vmOf(e, task);
      sequence.is(vm, e.number('seq') + 1);
      if (!world.recordsLocksOf(task, vm) || task.holdOn(vm.id)?.mode === EXCLUSIVE) return;
      report.violated(
        { line: e.line, task, vm },
        'an invalidation ends without mmu_lock held for write',
      );
    });
  },
};

const K39: TraceRule = {
  id: 'K39',
  needs: ['unmap_gfn_range', 'zap_leafs'],
  watch: (world, report, { notifiers }) => {
    world.on('unmap_gfn_range', (e, task) => {
      const vm = world.vmOf(e, task);
      if (notifiers.of(vm, task) === undefined) return;
      report.exercised(vm);
      if (e.low('inprog') > 0) return;
      report.violated(
        { line: e.line, task, vm },
        'a range is taken away while no invalidation counts as going on',
      );
    });
  },
};

/**
 * The other half of it: a zap that no notifier asked for is an invalidation, too, of all that it
 * takes away.
 */
const K39_ZAPS: TraceRule = {
  id: 'K39',
  needs: ['zap_leafs', 'unmap_range', 'unmap_range_ret', 'inv_add'],
  watch: (world, report) => {
    const unmapping = new Set<Task>();
    const begun = new Map<Task, { readonly start: number; readonly end: number }[]>();
    world.listeners.forgetting.push(() => [unmapping, begun].forEach((known) => known.clear()));
    world.on('unmap_range', (_, task) => unmapping.add(task));
    world.on('unmap_range_ret', (_, task) => unmapping.delete(task));
    world.listeners.acquired.push((task, hold) => {
      if (!isYield(hold)) begun.set(task, []);
    });
    world.on('inv_add', (e, task) =>
      begun.get(task)?.push({ start: e.number('start'), end: e.number('end') }),
    );
    world.on('zap_leafs', (e, task) => {
      const ranges = begun.get(task);
      if (unmapping.has(task) || ranges === undefined) return;
      const vm = world.vmOf(e, task);
      report.exercised(vm);
      const [start, end] = [e.number('start'), e.number('end')];
      if (ranges.some((range) => range.start <= start && range.end >= end)) return;
      report.violated(
        { line: e.line, task, vm },
        `GFNs 0x${start.toString(16)} up to 0x${end.toString(16)} are zapped, and do not count as being invalidated`,
      );
    });
  },
};

export default [K22, WALKED, K34, K37, K38, K39, K39_ZAPS] satisfies readonly TraceRule[];
