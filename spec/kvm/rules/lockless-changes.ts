/** Changes of an SPTE that KVM makes without mmu_lock: fast page faults and aging. */
import {
  ACCESS_TRACKED,
  ACCESSED,
  DIRTY,
  isLeafSpte,
  MMU_WRITABLE,
  WRITABLE,
  type Spte,
} from '../spte.ts';

/** Fast page faults set W and D or undo access tracking; aging clears A or begins tracking. */
const LOCKLESS_BITS = WRITABLE | DIRTY | ACCESSED | ACCESS_TRACKED;

/** The leaf keeps its page, and W is set only where it is MMU-writable. */
export const isLocklessChange = (before: Spte, after: Spte): boolean =>
  isLeafSpte(before) &&
  isLeafSpte(after) &&
  ((before ^ after) & ~LOCKLESS_BITS) === 0 &&
  ((after & ~before & WRITABLE) === 0 || (before & MMU_WRITABLE) !== 0);
