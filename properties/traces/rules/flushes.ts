/** Flushes of TLBs that are owed and paid: K20, K21, K24, K25. */
import { hashOfText } from '../reader/keys.ts';
import type { Change } from '../state/change.ts';
import type { Notifiers } from '../state/notifiers.ts';
import { has, isPresent, LEAF, pagesAt, TABLE } from '../state/spte.ts';
import type { Task } from '../state/task.ts';
import type { World } from '../state/world.ts';
import { Debts, type Debt, type Due } from './debts.ts';
import type { TraceRule } from './rule.ts';
import { valuesOf } from './transitions.ts';

/** What a task is doing, as far as flushes go: which of its changes owe one to which rule, and when it is due. */
interface Doing {
  readonly rule: string;
  readonly due: Due;
  readonly owes: (c: Change, world: World) => boolean;
}

const loses = (c: Change): boolean => c.oldKind === LEAF && !isPresent(c.newKind);
const merges = (c: Change): boolean => c.oldKind === TABLE && c.newKind !== TABLE;
const protects = (c: Change, { kernel }: World): boolean => c.newKind === LEAF && kernel !== null &&
  has(kernel.layout.writable, c.oldHi, c.oldLo) && !has(kernel.layout.writable, c.newHi, c.newLo);

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
const LEAVES = ['map_ret', 'zap_leafs_ret', 'zap_root', 'zap_pass', 'split_slot', 'age', 'wp_gfn', 'zap_inval'] as const;

const CHANGE_PTE = hashOfText('kvm_mmu_notifier_change_pte');

/** 6.1 has a notifier that replaces a page in one go. */
const REPLACES: Doing = { rule: 'K20', due: 'unlock', owes: loses };

/** Follows who owes flushes. */
function follow(world: World, notifiers: Notifiers): Debts {
  const doing = new Map<Task, Doing>();
  const rangeOf = (task: Task, { vm }: { vm: Debt['vm'] }): number => notifiers.of(vm, task)?.ranges.length ?? 0;
  // an invalidation that meets several slots flushes once, at its end; what it took for the present one is due now
  const debts = new Debts(world, (task, debt) => debt.range > 0 && debt.range !== rangeOf(task, debt));
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
    debts.owe(task, { rule: 'K24', due: 'lock', vm, line: e.line, what: 'took W away for the dirty log', start, end: start + n, range: 0 });
  });
  world.listeners.changing.push((c) => {
    const what = doing.get(c.task);
    if (what === undefined || c.vm.dying || !what.owes(c, world)) return;
    // a vCPU that leaves an invalid root flushes by itself; which root it is may not be known
    const root = c.table?.root ?? c.task.walk;
    if (root === null || root.invalid) return;
    debts.owe(c.task, {
      rule: what.rule, due: what.due, vm: c.vm, line: c.line, what: valuesOf(c),
      start: c.gfn, end: c.gfn + pagesAt(c.level), range: what.due === 'unlock' ? rangeOf(c.task, c) : 0,
    });
  });
  notifiers.ending.push(({ vm, task }) => debts.endOf(task, vm));
  return debts;
}

const SAID: Readonly<Record<Due, string>> = {
  unlock: 'lets go of mmu_lock, or ends the invalidation, and has not flushed',
  lock: 'goes on, and has not flushed',
};

/** A rule about the debts that carry its id. */
const paid = (id: string): TraceRule => ({
  id,
  needs: ['flush'],
  pairs: [['flush_range', 'flush_range_ret']],
  watch: (world, judge, notifiers) => {
    const { listeners } = follow(world, notifiers);
    listeners.owing.push((debt) => {
      if (debt.rule === id) judge.exercised(debt.vm);
    });
    listeners.unpaid.push((debt, task) => {
      if (debt.rule !== id) return;
      judge.violated({ line: world.e.line, task, vm: debt.vm },
        `${SAID[debt.due]} since GFNs 0x${debt.start.toString(16)} up to 0x${debt.end.toString(16)} changed`,
        [{ line: debt.line, what: debt.what }]);
    });
  },
});

const K21: TraceRule = {
  id: 'K21',
  needs: ['flush_range', 'flush_range_ret'],
  watch: (world, judge, notifiers) => {
    const { listeners } = follow(world, notifiers);
    listeners.covering.push((vm) => judge.exercised(vm));
    listeners.missed.push((debt, task, { line, text, start, end }) => {
      judge.violated({ line, task, vm: debt.vm, text },
        `GFNs 0x${start.toString(16)} up to 0x${end.toString(16)} are flushed, and 0x${debt.start.toString(16)} up to ` +
        `0x${debt.end.toString(16)} changed`, [{ line: debt.line, what: debt.what }]);
    });
  },
};

export default [paid('K20'), K21, paid('K24'), paid('K25')] satisfies readonly TraceRule[];
