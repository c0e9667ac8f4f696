/**
 * upstream-7: the TDP MMU of an ordinary VM as in Linux 7.x, built of the steps in tdp-mmu/.
 *
 * Faults, NX recovery, dirty logging and the zapping of invalid roots run concurrently with
 * mmu_lock held for read; notifiers and zaps of ranges hold it for write; aging and fast page
 * faults hold no lock. That is safe because every change under read is a cmpxchg, RCU frees tables,
 * and every entry of an unlinked table is frozen before the table is released (K2, K5, K16).
 */
import { tdpMmu } from '../tdp-mmu/index.ts';
import type { Policy } from '../vm/policy.ts';
import { frozenMirror } from './frozen-mirror.ts';

export const upstream7: Policy = {
  ...frozenMirror,
  name: 'upstream-7',
  group: 'linux',
  title: 'direct roots: concurrent faults, zaps that yield, lockless aging and fast page faults',
  proposed: 'Linux 7.3, arch/x86/kvm/mmu/tdp_mmu.c',
  vms: ['vm'],
  breaks: [],
  never: [],
  direct: tdpMmu,
};

export default upstream7;
