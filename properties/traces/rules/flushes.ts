/** Flushes of TLBs that are required, and whether they happen: K20, K21, K24, K25. */
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
const flushRule = (id: string): TraceRule => ({
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

const K21: TraceRule = {
  id: 'K21',
  needs: ['flush_range', 'flush_range_ret'],
  watch: (_world, report, { flushes: { listeners } }) => {
    listeners.rangeBegan.push((vm) => report.exercised(vm));
    listeners.uncovered.push((flush, task, { line, text, start, end }) => {
      report.violated(
        { line, task, vm: flush.vm, text },
        `GFNs 0x${start.toString(16)} up to 0x${end.toString(16)} are flushed, and 0x${flush.start.toString(16)} up to ` +
          `0x${flush.end.toString(16)} changed`,
        [{ line: flush.line, what: flush.what }],
      );
    });
  },
};

export default [
  flushRule('K20'),
  K21,
  flushRule('K24'),
  flushRule('K25'),
] satisfies readonly TraceRule[];
