/** Who writes SPTEs, and over what: K1 to K3; and what broke a chain otherwise: K10, K13. */
import type { SpteLayout } from '../../../spec/kvm/layouts/layout.ts';
import type { EventName } from '../reader/event-table.ts';
import { valuesOf, type BrokenChain, type Change } from '../state/change.ts';
import { has, hexOf, kindOf, FROZEN, LEAF } from '../state/spte.ts';
import { PREFILLED } from '../state/table.ts';
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

/** The events of those who write by themselves, where it could have been one of them. */
function lockless(world: World, { fromHi, fromLo, toHi, toLo }: BrokenChain): EventName[] {
  const layout = world.kernel?.layout;
  const theirs =
    layout === undefined ? 0 : layout.writable.lo | layout.accessed.lo | layout.dirty.lo;
  if (fromHi !== toHi || ((fromLo ^ toLo) & ~theirs) !== 0) return [];
  return [
    ...((toLo & ~fromLo) === 0 ? [] : ['fast_page_fault' as const]),
    ...((fromLo & ~toLo) === 0 ? [] : ['kvm_tdp_mmu_spte_changed' as const]),
  ];
}

/** The rule that a broken chain is against. */
function ruleOf(world: World, { fromHi, fromLo, level, known, mode, direct }: BrokenChain): string {
  const layout = world.kernel?.layout;
  if (known === PREFILLED) return 'K13';
  if (layout !== undefined && kindOf(layout, level, fromHi, fromLo) === FROZEN) return 'K10';
  return direct || mode !== EXCLUSIVE ? 'K2' : 'K3';
}

/**
 * Events without which a broken chain may be none: those of who writes by himself; where tables
 * have no names, those of faults, which say in which table they are by being one; and of FROZEN,
 * which stays until its page is another table's, that of its becoming one.
 */
const explaining = (world: World, b: BrokenChain): EventName[] => [
  ...lockless(world, b),
  ...(world.kernel?.namesTables === false
    ? ['map' as const]
    : ruleOf(world, b) === 'K10'
      ? ['init_sp' as const]
      : []),
];

const broken = (id: string, premise: (c: Change) => boolean): TraceRule => ({
  id,
  needs: ['chg'],
  watch: (world, report) => {
    world.listeners.changing.push((c) => {
      if (c.fit !== 'unknown' && premise(c)) report.exercised(c.vm);
    });
    world.listeners.chainBroken.push((b) => {
      if (ruleOf(world, b) !== id) return;
      const gfn = b.table.gfnOf(b.index).toString(16);
      report.violated(
        { ...b, unless: explaining(world, b) },
        `GFN 0x${gfn} at level ${b.level} was ${hexOf(b.toHi, b.toLo)}, ` +
          `where ${hexOf(b.fromHi, b.fromLo)} was written last`,
        b.fromLine === 0
          ? []
          : [{ line: b.fromLine, what: `${hexOf(b.fromHi, b.fromLo)} was written` }],
      );
    });
  },
});

const K2 = broken('K2', (c) => c.direct || c.mode !== EXCLUSIVE);
const K3 = broken('K3', (c) => c.mode === EXCLUSIVE);
const K10 = broken('K10', () => false);
const K13 = broken('K13', (c) => c.known === PREFILLED);

export default [K1, K2, K3, K10, K13] satisfies readonly TraceRule[];
