/** Follows which tasks hold mmu_lock, and how. */
import type { TraceEvent } from '../reader/event.ts';
import { hashOfText } from '../reader/keys.ts';
import { EXCLUSIVE, SHARED, type Hold, type Mode, type Task } from './task.ts';
import type { World } from './world.ts';

/**
 * Functions that drop mmu_lock and acquire it again in the middle of an operation: to reschedule,
 * and to allocate the table of a split. Source: tdp_mmu.c, tdp_mmu_iter_cond_resched(),
 * tdp_mmu_split_huge_pages_root(), also where it is inlined or has a suffix of the compiler's.
 */
const CONTINUES = new Set(
  [
    '__cond_resched_rwlock_read',
    '__cond_resched_rwlock_write',
    'tdp_mmu_split_huge_pages_root',
    'kvm_tdp_mmu_try_split_huge_pages',
  ].map(hashOfText),
);

/** Whether the task acquired the lock again within the operation that had dropped it. */
export const continues = ({ caller }: Hold): boolean => CONTINUES.has(caller);

export function followLocks(world: World): void {
  const acquired =
    (mode: Mode) =>
    (e: TraceEvent, task: Task): void => {
      const lock = e.has('lock') ? e.number('lock') : task.attempt;
      task.attempt = 0;
      // the attempt is older than the trace
      if (lock === 0) return;
      world.noteLocksOf(task);
      const hold: Hold = { lock, mode, line: e.line, caller: e.caller };
      // a task that acquires the lock has released it before, whether or not an event showed that
      const before = task.holds.findIndex((other) => other.lock === lock);
      if (before >= 0) task.holds.splice(before, 1);
      task.holds.push(hold);
      for (const listener of world.listeners.acquired.all) listener(task, hold);
      const holders = world.holders.get(lock);
      if (holders === undefined) world.holders.set(lock, new Set([task]));
      else holders.add(task);
    };
  const released = (e: TraceEvent, task: Task): void => {
    world.noteLocksOf(task);
    const lock = e.number('lock');
    const at = task.holds.findLastIndex((hold) => hold.lock === lock);
    const hold = task.holds[at];
    if (hold === undefined) return;
    for (const listener of world.listeners.releasing.all) listener(task, hold);
    task.holds.splice(at, 1);
    const holders = world.holders.get(lock);
    holders?.delete(task);
    if (holders?.size === 0) world.holders.delete(lock);
    if (world.vms.has(lock)) task.removing.length = 0;
  };
  world.onState(['rl', 'wl'], (e, task) => {
    world.noteLocksOf(task);
    task.attempt = e.number('lock');
  });
  world.onState('rl_ret', acquired(SHARED));
  world.onState('wl_ret', acquired(EXCLUSIVE));
  world.onState(['ru', 'wu'], released);
}
