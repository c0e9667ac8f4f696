/** Rules about TLB flushes that are pending: K20, K24 and K25. */
import type { Deadline, RequiredFlush } from '../state/pending-flushes.ts';
import type { Vm } from '../state/vm.ts';
import type { TraceRule } from './rule.ts';

const OVERDUE: Readonly<Record<Deadline, string>> = {
  unlock: 'lets go of mmu_lock, or ends the invalidation, and has not flushed',
  lock: 'goes on, and has not flushed',
};

/**
 * There is a newer root of the address space: this one may be invalid, and a vCPU that leaves it
 * flushes by itself.
 */
const isReplaced = ({ root, vm }: RequiredFlush): boolean =>
  root !== null && vm.roots.find(({ asId }) => asId === root.asId) !== root;

/** A rule about the required flushes that carry its id. */
export const flushRule = (id: string): TraceRule => ({
  id,
  needs: ['flush'],
  // they tell which roots are valid
  needsOne: ['inval_roots', 'put_root'],
  pairs: [['flush_range', 'flush_range_ret']],
  watch: (world, report, { flushes: { listeners } }) => {
    /** VMs in which there are, or were, roots that somebody made invalid. */
    const zapped = new WeakSet<Vm>();
    world.on('zap_inval', (e, task) => zapped.add(world.vmOf(e, task)));
    listeners.required.push((flush) => {
      if (flush.rule === id) report.exercised(flush.vm);
    });
    listeners.overdue.push((flush, task, at) => {
      if (flush.rule !== id) return;
      const mayBeInvalid = isReplaced(flush) || zapped.has(flush.vm);
      report.violated(
        { ...at, task, vm: flush.vm, unless: mayBeInvalid ? ['inval_roots'] : [] },
        `${OVERDUE[flush.deadline]} since GFNs 0x${flush.start.toString(16)} up to 0x${flush.end.toString(16)} changed`,
        [{ line: flush.line, what: flush.what }],
      );
    });
  },
});
