/** Rules about TLB flushes that are pending: K20, K24 and K25. */
import type { EventName } from '../reader/event-table.ts';
import type { Deadline, RequiredFlush } from '../state/pending-flushes.ts';
import type { Vm } from '../state/vm.ts';
import { rangeText } from './gfns.ts';
import type { TraceRule } from './rule.ts';

const OVERDUE: Readonly<Record<Deadline, string>> = {
  unlock: 'releases mmu_lock (or ends the invalidation) without a TLB flush',
  lock: 'starts its next operation without a TLB flush',
};

/**
 * A newer root exists for the address space. The old one may be invalid, and a vCPU that leaves an
 * invalid root flushes by itself.
 */
const isReplaced = ({ root, vm }: RequiredFlush): boolean =>
  root !== null && vm.roots.find(({ asId }) => asId === root.asId) !== root;

/** Reports overdue flushes of rule `id`; `after` says which changes require them. */
export const flushRule = (id: string, after: string): TraceRule => ({
  id,
  needs: ['flush'],
  // these events show which roots are valid
  needsOne: ['inval_roots', 'put_root'],
  pairs: [['flush_range', 'flush_range_ret']],
  watch: (world, report, { flushes: { listeners } }) => {
    /** VMs that have or had invalid roots. */
    const zapped = new WeakSet<Vm>();
    world.on('zap_inval', (e, task) => zapped.add(world.vmOf(e, task)));
    listeners.required.push((flush) => {
      if (flush.rule === id) report.exercised(flush.vm);
    });
    listeners.overdue.push((flush, task, at) => {
      if (flush.rule !== id) return;
      const mayBeInvalid = isReplaced(flush) || zapped.has(flush.vm);
      const unless: EventName[] = [
        ...(mayBeInvalid ? (['inval_roots'] as const) : []),
        ...(flush.mayPrecede ? (['flush_range'] as const) : []),
      ];
      report.violated(
        { ...at, task, vm: flush.vm, unless },
        `${OVERDUE[flush.deadline]} after ${after} ${rangeText(flush)}`,
        [{ line: flush.line, what: flush.what }],
      );
    });
  },
});
