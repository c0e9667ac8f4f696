/** Flushes of TLBs that are owed and paid: K20, K21, K24, K25. */
import type { Debt, Due } from '../state/pending-flushes.ts';
import type { Vm } from '../state/vm.ts';
import type { TraceRule } from './rule.ts';

const SAID: Readonly<Record<Due, string>> = {
  unlock: 'lets go of mmu_lock, or ends the invalidation, and has not flushed',
  lock: 'goes on, and has not flushed',
};

/**
 * There is a newer root of the address space: this one may be invalid, and a vCPU that leaves it
 * flushes by itself.
 */
const isReplaced = ({ root, vm }: Debt): boolean =>
  root !== null && vm.roots.find(({ asId }) => asId === root.asId) !== root;

/** A rule about the debts that carry its id. */
const paid = (id: string): TraceRule => ({
  id,
  needs: ['flush'],
  // they tell which roots are valid
  needsOne: ['inval_roots', 'put_root'],
  pairs: [['flush_range', 'flush_range_ret']],
  watch: (world, report, { debts: { listeners } }) => {
    /** VMs in which there are, or were, roots that somebody made invalid. */
    const zapped = new WeakSet<Vm>();
    world.on('zap_inval', (e, task) => zapped.add(world.vmOf(e, task)));
    listeners.owing.push((debt) => {
      if (debt.rule === id) report.exercised(debt.vm);
    });
    listeners.unpaid.push((debt, task, at) => {
      if (debt.rule !== id) return;
      const mayBeInvalid = isReplaced(debt) || zapped.has(debt.vm);
      report.violated(
        { ...at, task, vm: debt.vm, unless: mayBeInvalid ? ['inval_roots'] : [] },
        `${SAID[debt.due]} since GFNs 0x${debt.start.toString(16)} up to 0x${debt.end.toString(16)} changed`,
        [{ line: debt.line, what: debt.what }],
      );
    });
  },
});

const K21: TraceRule = {
  id: 'K21',
  needs: ['flush_range', 'flush_range_ret'],
  watch: (_world, report, { debts: { listeners } }) => {
    listeners.covering.push((vm) => report.exercised(vm));
    listeners.missed.push((debt, task, { line, text, start, end }) => {
      report.violated(
        { line, task, vm: debt.vm, text },
        `GFNs 0x${start.toString(16)} up to 0x${end.toString(16)} are flushed, and 0x${debt.start.toString(16)} up to ` +
          `0x${debt.end.toString(16)} changed`,
        [{ line: debt.line, what: debt.what }],
      );
    });
  },
};

export default [paid('K20'), K21, paid('K24'), paid('K25')] satisfies readonly TraceRule[];
