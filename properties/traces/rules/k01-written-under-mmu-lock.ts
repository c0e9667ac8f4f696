/** K1 in a trace: the lock that a task holds as it writes an SPTE, and what is written without. */
import type { SpteLayout } from '../../../spec/kvm/layouts/layout.ts';
import type { EventName } from '../reader/event-table.ts';
import { valuesOf, type Change } from '../state/change.ts';
import { has, LEAF } from '../state/spte.ts';
import { EXCLUSIVE, SHARED, type Hold, type Mode, type Task } from '../state/task.ts';
import { isTracking } from '../state/tracking.ts';
import type { World } from '../state/world.ts';
import { LOCK_PAIRS, type TraceReporter, type TraceRule } from './rule.ts';

const MODES: Readonly<Record<Mode, string>> = { [SHARED]: 'read', [EXCLUSIVE]: 'write' };

const ACQUIRED: Readonly<Record<Mode, EventName>> = { [SHARED]: 'rl_ret', [EXCLUSIVE]: 'wl_ret' };

const ages = (layout: SpteLayout, c: Change): boolean =>
  isTracking(layout, c.oldHi, c.oldLo, c.newHi, c.newLo);

/** Mode of mmu_lock that the change needs, or null. */
function neededMode(world: World, c: Change): Mode | null {
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
  const mode = neededMode(world, c);
  if (mode === null) return;
  if (!world.recordsLocksOf(c.task, c.vm)) {
    report.notJudged(`no lock event is recorded for ${c.task.name}`);
    return;
  }
  report.exercised(c.vm);
  const hold = c.task.holdOn(c.vm.id);
  if (hold?.mode === mode) return;
  const at = { line: c.line, task: c.task, vm: c.vm, unless: [ACQUIRED[mode]] };
  const held = hold === null ? 'without mmu_lock' : `with mmu_lock held for ${MODES[hold.mode]}`;
  report.violated(
    at,
    `changes an SPTE ${held}, which must be held for ${MODES[mode]}: ${valuesOf(c)}`,
    hold === null
      ? []
      : [{ line: hold.line, what: `${c.task.name} acquired mmu_lock for ${MODES[hold.mode]}` }],
  );
}

/** Text for a change that is not allowed without the lock; null if it is allowed. */
function whyNotLockless(c: Change, layout: SpteLayout): string | null {
  if (c.oldKind !== LEAF || c.newKind !== LEAF)
    return 'writes an entry that is not a leaf outside the handler of SPTE changes';
  if (c.fast) {
    return has(layout.mmuWritable, c.oldHi, c.oldLo) || !has(layout.writable, c.newHi, c.newLo)
      ? null
      : 'a fast page fault makes a leaf writable that is not MMU-writable';
  }
  const clearable = layout.accessed.lo | layout.writable.lo | layout.dirty.lo;
  const onlyClears =
    (c.newLo & ~c.oldLo) === 0 && ((c.oldLo ^ c.newLo) & ~clearable) === 0 && c.oldHi === c.newHi;
  return onlyClears || ages(layout, c)
    ? null
    : 'changes more than A, D and W outside the handler of SPTE changes';
}

/** A fast page fault may set W of an MMU-writable leaf; aging and dirty logging clear A, D or W. */
function judgeLockless(world: World, report: TraceReporter, c: Change): void {
  const layout = world.kernel?.layout;
  if (!c.direct || layout === undefined) return;
  report.exercised(c.vm);
  const what = whyNotLockless(c, layout);
  if (what !== null) report.violated(c, `${what}: ${valuesOf(c)}`);
}

/** Reports tasks that acquire mmu_lock while another task's hold excludes that. */
function judgeExclusion(world: World, report: TraceReporter): (task: Task, hold: Hold) => void {
  /** Holds for which this was reported: once for each is enough. */
  const reported = new WeakSet<Hold>();
  return (task, hold) => {
    const vm = world.vms.get(hold.lock);
    if (vm === undefined) return;
    for (const other of world.holdersOf(hold.lock)) {
      const theirs = other === task ? null : other.holdOn(hold.lock);
      if (
        theirs === null ||
        (theirs.mode === SHARED && hold.mode === SHARED) ||
        reported.has(theirs)
      )
        continue;
      reported.add(theirs);
      report.violated(
        { line: hold.line, task, vm },
        `acquires mmu_lock for ${MODES[hold.mode]} while ${other.name} holds it for ` +
          MODES[theirs.mode],
        [{ line: theirs.line, what: `${other.name} acquired mmu_lock` }],
      );
    }
  };
}

const rule: TraceRule = {
  id: 'K1',
  needs: ['chg'],
  pairs: LOCK_PAIRS,
  watch: (world, report) => {
    world.listeners.changing.push((c) => {
      judgeLock(world, report, c);
      judgeLockless(world, report, c);
    });
    world.listeners.acquired.push(judgeExclusion(world, report));
  },
};

export default rule;
