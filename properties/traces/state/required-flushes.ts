/** Who has to flush what: K20, K24 and K25, by what a task is doing. */
import { hashOfText } from '../reader/keys.ts';
import { valuesOf, type Change } from './change.ts';
import type { Notifiers } from './notifiers.ts';
import { Debts, type Debt, type Due } from './pending-flushes.ts';
import { has, isPresent, LEAF, pagesAt, TABLE } from './spte.ts';
import type { Task } from './task.ts';
import type { World } from './world.ts';

/**
 * What a task is doing, as far as flushes go: which of its changes owe one to which rule, and when
 * it is due.
 */
interface Doing {
  readonly rule: string;
  readonly due: Due;
  readonly owes: (c: Change, world: World) => boolean;
}

const loses = (c: Change): boolean => c.oldKind === LEAF && !isPresent(c.newKind);
const merges = (c: Change): boolean => c.oldKind === TABLE && c.newKind !== TABLE;
const protects = (c: Change, { kernel }: World): boolean =>
  c.newKind === LEAF &&
  kernel !== null &&
  has(kernel.layout.writable, c.oldHi, c.oldLo) &&
  !has(kernel.layout.writable, c.newHi, c.newLo);

const DOING = {
  map: { rule: 'K25', due: 'unlock', owes: (c) => c.oldKind === TABLE && c.newKind === LEAF },
  zap_leafs: { rule: 'K20', due: 'unlock', owes: loses },
  nxzap: { rule: 'K20', due: 'unlock', owes: (c) => loses(c) || merges(c) },
  wrprot_slot: { rule: 'K24', due: 'lock', owes: protects },
  cleardirty_pt: { rule: 'K24', due: 'lock', owes: protects },
  recover_slot: { rule: 'K25', due: 'lock', owes: merges },
  collapse_slot: { rule: 'K25', due: 'lock', owes: merges },
} as const satisfies Record<string, Doing>;

/** Until the task does something else. */
const LEAVES = [
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

/** 6.1 has a notifier that replaces a page in one go. */
const REPLACES: Doing = { rule: 'K20', due: 'unlock', owes: loses };

/** Follows who owes flushes. */
export function followDebts(world: World, notifiers: Notifiers): Debts {
  const doing = new Map<Task, Doing>();
  const rangeOf = (task: Task, { vm }: { vm: Debt['vm'] }): number =>
    notifiers.of(vm, task)?.ranges.length ?? 0;
  // an invalidation that meets several slots flushes once, at its end; what it took for the present one is due now
  const debts = new Debts(
    world,
    (task, debt) => debt.range > 0 && debt.range !== rangeOf(task, debt),
  );
  for (const [name, what] of Object.entries(DOING)) {
    world.on(name as keyof typeof DOING, (_, task) => doing.set(task, what)); // the keys of DOING are what it is made of
  }
  world.on(LEAVES, (_, task) => doing.delete(task));
  world.listeners.acquired.push((task, hold) => {
    if (hold.caller === CHANGE_PTE) doing.set(task, REPLACES);
  });
  world.listeners.forgetting.push(() => doing.clear());
  // both write-protect, and owe a flush whether or not there was anything left to protect
  world.on(['wrprot_slot', 'cleardirty_pt'], (e, task) => {
    const vm = world.vmOf(e, task);
    const [start, n] = e.has('n') ? [e.number('base'), e.number('n')] : [e.number('gfn'), 0];
    if (!e.has('n') && !e.has('mask')) return;
    const debt = {
      rule: 'K24',
      due: 'lock',
      vm,
      line: e.line,
      start,
      end: start + n,
      root: null,
      range: 0,
    } as const;
    debts.owe(task, debt, () => 'took W away for the dirty log');
  });
  world.listeners.changing.push((c) => {
    const what = doing.get(c.task);
    if (what === undefined || c.vm.dying || !what.owes(c, world)) return;
    // a vCPU that leaves an invalid root flushes by itself; which root it is may not be known
    const root = c.table?.root ?? c.task.walk;
    if (root === null || root.invalid) return;
    debts.owe(
      c.task,
      {
        rule: what.rule,
        due: what.due,
        vm: c.vm,
        root,
        line: c.line,
        start: c.gfn,
        end: c.gfn + pagesAt(c.level),
        range: what.due === 'unlock' ? rangeOf(c.task, c) : 0,
      },
      () => valuesOf(c),
    );
  });
  notifiers.ending.push(({ vm, task }) => debts.endOf(task, vm));
  return debts;
}
