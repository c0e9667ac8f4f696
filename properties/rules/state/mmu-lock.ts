/** How the current actor holds mmu_lock. */
import type { Vm } from '../../../impl/vm/vm.ts';

/** The current actor holds mmu_lock for write. */
export const holdsForWrite = (vm: Vm): boolean => vm.mmuLock.heldForWrite(vm.m.current);

/** How the current actor holds mmu_lock, for reports. */
export function heldAs(vm: Vm): string {
  if (holdsForWrite(vm)) return 'mmu_lock held for write';
  return vm.mmuLock.heldForRead(vm.m.current) ? 'mmu_lock held for read' : 'mmu_lock not held';
}
