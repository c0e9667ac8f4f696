/** Emits acquisitions and releases of mmu_lock. */
import type { Machine } from '../../../spec/machine/machine.ts';
import type { RwLock } from '../../../spec/machine/rwlock.ts';
import type { TraceLog } from './log.ts';

/**
 * Subscribes to a lock. `address` is that of the lock and of its struct kvm; `caller` names the
 * function that acquires it.
 */
export function writeLock(
  lock: RwLock,
  m: Machine,
  log: TraceLog,
  address: string,
  caller: (name: string) => string = () => 'kvm_mmu',
): void {
  const mode = (): readonly [string, string] =>
    lock.heldForWrite(m.current) ? ['w', 'write'] : ['r', 'read'];
  lock.listeners.push({
    acquired: () => {
      const [letter, name] = mode();
      log.event(`${letter}l`, `_raw_${name}_lock+0x4`, `lock=${address}`);
      log.event(`${letter}l_ret`, `${caller(name)}+0x4 <- _raw_${name}_lock`, `lock=${address}`);
    },
    releasing: () => {
      const [letter, name] = mode();
      log.event(`${letter}u`, `_raw_${name}_unlock+0x4`, `lock=${address}`);
    },
  });
}
