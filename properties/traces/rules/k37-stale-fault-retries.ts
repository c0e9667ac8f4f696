/** K37 in a trace: what was invalidated between the lookup of a page and its installation. */
import { valuesOf } from '../state/change.ts';
import type { Notifiers } from '../state/notifiers.ts';
import { isPresent, LEAF } from '../state/spte.ts';
import type { World } from '../state/world.ts';
import { gfnText } from './gfns.ts';
import { invalidationCause, Sequence } from './invalidations.ts';
import type { DerivedState, TraceReporter, TraceRule } from './rule.ts';

/** Bits of a pfn that say that no memslot backs the GFN; such a fault cannot be stale. */
const NO_PAGE = 0xfff0_0000;

/** Judges faults by the sequence number and the GFN in `map`. */
function judgeFaults(
  world: World,
  report: TraceReporter,
  invalidated: DerivedState['invalidated'],
  sequence: Sequence,
): void {
  world.on('map', (e, task) => {
    const { vm } = task;
    if (vm === null || !e.has('mmu_seq') || (e.high('pfn') & NO_PAGE) !== 0) return;
    report.exercised(vm);
    const gfn = e.number('gfn');
    const [seq, expected] = [e.number('mmu_seq'), sequence.of(vm)];
    const at = { line: e.line, task, vm };
    if (expected !== null && expected !== seq) {
      report.violated(
        at,
        `maps ${gfnText(gfn)}, which was looked up at sequence number ${seq}, at ${expected}: an ` +
          'invalidation came in between',
      );
      return;
    }
    const range = invalidated.get(vm);
    if (range === undefined || gfn < range.start || gfn >= range.end) return;
    report.violated(
      { ...at, unless: ['inv_end'] },
      `maps ${gfnText(gfn)} while it is being invalidated`,
      [...range.begun].map(([{ name }, line]) => ({ line, what: `${name} invalidates` })),
    );
  });
}

/** Judges faults by what they install, for kernels whose `map` does not show the GFN. */
function judgeLeaves(world: World, report: TraceReporter, notifiers: Notifiers): void {
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
      report.violated(c, `maps a GFN while it is being invalidated: ${valuesOf(c)}`, [
        invalidationCause(invalidation),
      ]);
    }
  });
}

const rule: TraceRule = {
  id: 'K37',
  needs: ['map'],
  watch: (world, report, { invalidated, notifiers }) => {
    const sequence = new Sequence(world);
    world.on('inv_end', (e, task) => {
      const vm = world.vmOf(e, task);
      // the event has the number before the increment
      sequence.set(vm, Math.max(sequence.of(vm) ?? 0, e.number('seq')) + 1);
    });
    judgeFaults(world, report, invalidated, sequence);
    judgeLeaves(world, report, notifiers);
  },
};

export default rule;
