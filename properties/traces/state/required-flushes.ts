/** Which changes require a TLB flush, by the operation that a task is in: K20, K24 and K25. */
import { hashOfText } from '../reader/keys.ts';
import { valuesOf, type Change } from './change.ts';
import type { Notifiers } from './notifiers.ts';
import { PendingFlushes, type Deadline, type RequiredFlush } from './pending-flushes.ts';
import { has, isPresent, LEAF, pagesAt, TABLE } from './spte.ts';
import type { Task } from './task.ts';
import type { World } from './world.ts';

/** An operation of KVM: which of its changes require a flush, for which rule, and by when. */
interface Operation {
  readonly rule: string;
  readonly deadline: Deadline;
  readonly needsFlush: (c: Change, world: World) => boolean;
  /** It zaps entries by exchange, under mmu_lock held for read. */
  readonly byExchange?: true;
}

const zaps = (c: Change): boolean => c.oldKind === LEAF && !isPresent(c.newKind);
const collapses = (c: Change): boolean => c.oldKind === TABLE && c.newKind !== TABLE;
const writeProtects = (c: Change, { kernel }: World): boolean =>
  c.newKind === LEAF &&
  kernel !== null &&
  has(kernel.layout.writable, c.oldHi, c.oldLo) &&
  !has(kernel.layout.writable, c.newHi, c.newLo);

/** Replaces tables by huge leaves: in 7.3 at once, in earlier kernels by zaps and later faults. */
const COLLAPSE: Operation = {
  rule: 'K25',
  deadline: 'lock',
  needsFlush: collapses,
  byExchange: true,
};

/** By the event at which the operation begins. */
const OPERATIONS = {
  map: {
    rule: 'K25',
    deadline: 'unlock',
    needsFlush: (c) => c.oldKind === TABLE && c.newKind === LEAF,
  },
  zap_leafs: { rule: 'K20', deadline: 'unlock', needsFlush: zaps },
  nxzap: { rule: 'K20', deadline: 'unlock', needsFlush: (c) => zaps(c) || collapses(c) },
  wrprot_slot: { rule: 'K24', deadline: 'lock', needsFlush: writeProtects },
  cleardirty_pt: { rule: 'K24', deadline: 'lock', needsFlush: writeProtects },
  recover_slot: COLLAPSE,
  collapse_slot: COLLAPSE,
} as const satisfies Record<string, Operation>;

/** Events at which the operation of a task ends. */
const ENDS = [
  'map_ret',
  'zap_leafs_ret',
  'zap_root',
  'zap_pass',
  'split_slot',
  'age',
  'wp_gfn',
  'zap_inval',
] as const;

const CHANGE_PTE = hashOfText('kvm_mmu_notifier_change_pte');

/** A notifier of Linux 6.1 that replaces a page in one call. */
const REPLACE: Operation = { rule: 'K20', deadline: 'unlock', needsFlush: zaps };

/** Follows which flushes are required, and until when they stay pending. */
export function followRequiredFlushes(world: World, notifiers: Notifiers): PendingFlushes {
  const operations = new Map<Task, Operation>();
  const rangeOf = (task: Task, { vm }: { vm: RequiredFlush['vm'] }): number =>
    notifiers.of(vm, task)?.ranges.length ?? 0;
  // an invalidation of several slots flushes once, at its end, but what it zaps in the present
  // slot is flushed before mmu_lock is released
  const flushes = new PendingFlushes(
    world,
    (task, flush) => flush.range > 0 && flush.range !== rangeOf(task, flush),
  );
  for (const [name, operation] of Object.entries(OPERATIONS)) {
    // Object.entries widens the keys of OPERATIONS to string
    world.onState(name as keyof typeof OPERATIONS, (_, task) => operations.set(task, operation));
  }
  world.onState(ENDS, (_, task) => operations.delete(task));
  world.listeners.acquired.pushState((task, hold) => {
    if (hold.caller === CHANGE_PTE) operations.set(task, REPLACE);
  });
  world.listeners.forgetting.pushState(() => operations.clear());
  // both write-protect, and require a flush whether or not they changed an entry
  world.onState(['wrprot_slot', 'cleardirty_pt'], (e, task) => {
    const vm = world.vmOf(e, task);
    const [start, n] = e.has('n') ? [e.number('base'), e.number('n')] : [e.number('gfn'), 0];
    if (!e.has('n') && !e.has('mask')) return;
    const flush = {
      rule: 'K24',
      deadline: 'lock',
      vm,
      line: e.line,
      start,
      end: start + n,
      root: null,
      range: 0,
      mayPrecede: false,
    } as const;
    flushes.require(task, flush, () => 'took W away for the dirty log');
  });
  world.listeners.changing.pushState((c) => {
    const operation = operations.get(c.task);
    if (operation === undefined || c.vm.dying || !operation.needsFlush(c, world)) return;
    // a vCPU that leaves an invalid root flushes by itself; which root it is may not be known
    const root = c.table?.root ?? c.task.walk;
    if (root === null || root.invalid) return;
    const flush = {
      rule: operation.rule,
      deadline: operation.deadline,
      vm: c.vm,
      root,
      line: c.line,
      start: c.gfn,
      end: c.gfn + pagesAt(c.level),
      range: operation.deadline === 'unlock' ? rangeOf(c.task, c) : 0,
      mayPrecede: operation.byExchange === true && world.kernel?.flushesFrozen === true,
    };
    flushes.require(c.task, flush, () => valuesOf(c));
  });
  notifiers.ending.pushState(({ vm, task }) => flushes.endInvalidation(task, vm));
  return flushes;
}
