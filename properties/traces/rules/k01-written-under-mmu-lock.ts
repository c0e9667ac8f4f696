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

/** Bound of the violations that wait until the kernel is known. */
const MAX_UNDECIDED = 1000;

const ages = (layout: SpteLayout, c: Change): boolean =>
  isTracking(layout, c.oldHi, c.oldLo, c.newHi, c.newLo);

/** Whether the change is one that aging makes: without mmu_lock in some kernels. */
function onlyAges(world: World, c: Change): boolean {
  const layout = world.kernel?.layout;
  return (
    c.direct &&
    layout !== undefined &&
    (ages(layout, c) ||
      has(layout.writable, c.oldHi, c.oldLo) === has(layout.writable, c.newHi, c.newLo))
  );
}

/** Mode of mmu_lock that the change needs, or null. */
function neededMode(world: World, c: Change): Mode | null {
  if (!c.direct) return c.mode;
  if (c.fast) return null;
  return world.kernel?.agesWithoutLock === true && onlyAges(world, c) ? null : EXCLUSIVE;
}

/** Reports a violation, now or never. */
type Report = () => void;

/** Judges the lock of a change. Violations that depend on the kernel go to `undecided`. */
function judgeLock(world: World, report: TraceReporter, c: Change, undecided: Report[]): void {
  const mode = neededMode(world, c);
  if (mode === null) return;
  if (!world.recordsLocksOf(c.task, c.vm)) {
    report.notJudged(`no lock event is recorded for ${c.task.name}`);
    return;
  }
  report.exercised(c.vm);
  const hold = c.task.holdOn(c.vm.id);
  if (hold?.mode === mode) return;
  const isUndecided = world.kernel?.agesWithoutLock === null && onlyAges(world, c);
  const at = {
    line: c.line,
    task: c.task,
    vm: c.vm,
    unless: [ACQUIRED[mode]],
    ...(isUndecided ? { text: world.e.text() } : {}),
  };
  const held = hold === null ? 'without mmu_lock' : `with mmu_lock held for ${MODES[hold.mode]}`;
  const seen = `changes an SPTE ${held}, which must be held for ${MODES[mode]}: ${valuesOf(c)}`;
  const causes =
    hold === null
      ? []
      : [{ line: hold.line, what: `${c.task.name} acquired mmu_lock for ${MODES[hold.mode]}` }];
  if (isUndecided && undecided.length < MAX_UNDECIDED)
    undecided.push(() => report.violated(at, seen, causes));
  else if (!isUndecided) report.violated(at, seen, causes);
}

/** Values of a change, in halves. */
type Values = Pick<Change, 'oldHi' | 'oldLo' | 'newHi' | 'newLo'>;

/** Text for a change that a fast page fault may not make; null if it may. */
const whyNotRestored = (
  layout: SpteLayout,
  { oldHi, oldLo, newHi, newLo }: Values,
): string | null =>
  has(layout.mmuWritable, oldHi, oldLo) || !has(layout.writable, newHi, newLo)
    ? null
    : 'a fast page fault makes a leaf writable that is not MMU-writable';

/** Text for a change that is not allowed without the lock; null if it is allowed. */
function whyNotLockless(c: Change, layout: SpteLayout): string | null {
  if (c.oldKind !== LEAF || c.newKind !== LEAF)
    return 'writes an entry that is not a leaf outside the handler of SPTE changes';
  if (c.fast) return whyNotRestored(layout, c);
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
    const undecided: Report[] = [];
    world.listeners.ending.push(() => {
      const isLockless = world.kernel?.agesWithoutLock;
      for (const violation of undecided) {
        if (isLockless === false) violation();
        else if (isLockless === null)
          report.notJudged('no event shows whether this kernel ages with mmu_lock held');
      }
    });
    world.listeners.changing.push((c) => {
      judgeLock(world, report, c, undecided);
      judgeLockless(world, report, c);
    });
    world.listeners.acquired.push(judgeExclusion(world, report));
  },
};

/** Fast page faults, where only KVM's own tracepoints are recorded: their values alone. */
const BY_TRACEPOINT: TraceRule = {
  id: 'K1',
  needs: ['fast_page_fault'],
  watch: (world, report) => {
    world.on('fast_page_fault', (e, task) => {
      const { kernel } = world;
      if (world.hasSeen('chg') || kernel === null || e.low('fixed') === 0) return;
      report.exercised(task.vm);
      const why = whyNotRestored(kernel.layout, {
        oldHi: e.high('old'),
        oldLo: e.low('old'),
        newHi: e.high('new'),
        newLo: e.low('new'),
      });
      if (why !== null) report.violated({ line: e.line, task, vm: task.vm }, why);
    });
  },
};

export default [rule, BY_TRACEPOINT] satisfies readonly TraceRule[];
