import type { SpteLayout } from '../../../spec/kvm/layouts/layout.ts';
import type { EventName } from '../reader/event-table.ts';
import { valuesOf, type Change } from '../state/change.ts';
import { has, LEAF } from '../state/spte.ts';
import { EXCLUSIVE, SHARED, type Hold, type Mode } from '../state/task.ts';
import { isTracking } from '../state/tracking.ts';
import type { World } from '../state/world.ts';
import { LOCK_PAIRS, type TraceReporter, type TraceRule } from './rule.ts';

const MODES: Readonly<Record<Mode, string>> = { [SHARED]: 'read', [EXCLUSIVE]: 'write' };

const ACQUIRED: Readonly<Record<Mode, EventName>> = { [SHARED]: 'rl_ret', [EXCLUSIVE]: 'wl_ret' };

const ages = (layout: SpteLayout, c: Change): boolean =>
  isTracking(layout, c.oldHi, c.oldLo, c.newHi, c.newLo);

/** Which mode the change needs; null when none. */
function needed(world: World, c: Change): Mode | null {
  if (!c.direct) return c.mode;
  if (c.fast) return null;
  const layout = world.kernel?.layout;
  const onlyAges =
    layout !== undefined &&
    (ages(layout, c) ||
      has(layout.writable, c.oldHi, c.oldLo) === has(layout.writable, c.newHi, c.newLo));
  return onlyAges && world.kernel?.agesWithoutLock === true ? null : EXCLUSIVE;
}

function judgeLock(world: World, report: TraceReporter, c: Change): void {
  const mode = needed(world, c);
  if (mode === null) return;
  if (!world.recordsLocksOf(c.task, c.vm)) {
    report.unjudged(`no event of a lock is recorded for ${c.task.name}`);
    return;
  }
  report.exercised(c.vm);
  const hold = c.task.holdOn(c.vm.id);
  if (hold?.mode === mode) return;
  const at = { line: c.line, task: c.task, vm: c.vm, unless: [ACQUIRED[mode]] };
  const held = hold === null ? 'without mmu_lock' : `with mmu_lock held for ${MODES[hold.mode]}`;
  report.violated(
    at,
    `changed ${held}, and not with it held for ${MODES[mode]}: ${valuesOf(c)}`,
    hold === null
      ? []
      : [{ line: hold.line, what: `${c.task.name} acquired mmu_lock for ${MODES[hold.mode]}` }],
  );
}

/**
 * What may be written without the lock: W by a fast page fault, where the MMU lets it; A taken by
 * aging.
 */
function judgeLockless(world: World, report: TraceReporter, c: Change): void {
  const layout = world.kernel?.layout;
  if (!c.direct || layout === undefined) return;
  report.exercised(c.vm);
  if (c.oldKind !== LEAF || c.newKind !== LEAF) {
    report.violated(c, `written past everything that keeps account of entries: ${valuesOf(c)}`);
    return;
  }
  const taken = layout.accessed.lo | layout.writable.lo | layout.dirty.lo;
  if (
    !c.fast &&
    (c.newLo & ~c.oldLo) === 0 &&
    ((c.oldLo ^ c.newLo) & ~taken) === 0 &&
    c.oldHi === c.newHi
  )
    return;
  if (!c.fast && ages(layout, c)) return;
  if (
    c.fast &&
    (has(layout.mmuWritable, c.oldHi, c.oldLo) || !has(layout.writable, c.newHi, c.newLo))
  )
    return;
  report.violated(
    c,
    `${c.fast ? 'a fast page fault gave W, which is not its to give' : 'written without an account of it'}: ` +
      valuesOf(c),
  );
}

const K1: TraceRule = {
  id: 'K1',
  needs: ['chg'],
  pairs: LOCK_PAIRS,
  watch: (world, report) => {
    world.listeners.changing.push((c) => {
      judgeLock(world, report, c);
      judgeLockless(world, report, c);
    });
    /** Holds that somebody else was seen inside of: once is enough. */
    const disturbed = new WeakSet<Hold>();
    // nobody else is inside while somebody holds it for write
    world.listeners.acquired.push((task, hold) => {
      const vm = world.vms.get(hold.lock);
      if (vm === undefined) return;
      for (const other of world.holdersOf(hold.lock)) {
        const theirs = other === task ? null : other.holdOn(hold.lock);
        if (
          theirs === null ||
          (theirs.mode === SHARED && hold.mode === SHARED) ||
          disturbed.has(theirs)
        )
          continue;
        disturbed.add(theirs);
        report.violated(
          { line: hold.line, task, vm },
          `acquired mmu_lock for ${MODES[hold.mode]} while ${other.name} holds it for ${MODES[theirs.mode]}`,
          [{ line: theirs.line, what: `${other.name} acquired it` }],
        );
      }
    });
  },
};

export default K1 satisfies TraceRule;
