import { valuesOf } from '../state/change.ts';
import type { Notifiers } from '../state/notifiers.ts';
import { isPresent, LEAF } from '../state/spte.ts';
import type { World } from '../state/world.ts';
import { began, Sequence } from './invalidations.ts';
import type { DerivedState, TraceReporter, TraceRule } from './rule.ts';

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

export default K37 satisfies TraceRule;
